"""From a trained network without spikes to the weights that a spiking network of the same topology starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from bmi_decoder.decoders.ann_2d import FeedForward
from bmi_decoder.decoders.decoder import StackDecoder
from bmi_decoder.errors import InputError
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.layer import Layer, Stack
from bmi_decoder.layers.lif import LeakyReadout, Lif
from bmi_decoder.layers.normalise import OutputScale, Standardise

TWIN_BINS = 5000
"""Bins at the beginning of the training part that activations and rates are measured on."""

_PERCENTILE = 0.999
_HALVINGS = 14
_LOWEST_GAIN, _HIGHEST_GAIN = 2.0**-6, 2.0**8
_OUTPUT_FACTOR = 0.5


@dataclass(frozen=True)
class SpikingChain:
    """Two layers of spiking neurons and a leaky readout, as far as a network without spikes has the same.

    Parameters
    ----------
    standardise : Standardise or None
        Calibrated, in front of the first matrix.
    dense : (Dense, Dense, Dense)
    neurons : (Lif, Lif)
    readout : LeakyReadout
    factors : OutputScale
    decoder : StackDecoder
        All of it.
    """

    standardise: Standardise | None
    dense: tuple[Dense, Dense, Dense]
    neurons: tuple[Lif, Lif]
    readout: LeakyReadout
    factors: OutputScale
    decoder: StackDecoder

    @classmethod
    def of(cls, stack: Stack, decoder: StackDecoder) -> Self:
        """From the layers called dense1, lif1, dense2, lif2, dense3, readout, and standardise where there is one."""
        layers = dict(stack.layers.items())
        first, second, third = (layers[name] for name in ("dense1", "dense2", "dense3"))
        lif1, lif2, readout, factors = layers["lif1"], layers["lif2"], layers["readout"], decoder.stack.layers["scale"]
        standardise = layers.get("standardise")
        assert isinstance(first, Dense) and isinstance(second, Dense) and isinstance(third, Dense)
        assert isinstance(lif1, Lif) and isinstance(lif2, Lif)
        assert isinstance(readout, LeakyReadout) and isinstance(factors, OutputScale)
        assert standardise is None or isinstance(standardise, Standardise)
        return cls(standardise, (first, second, third), (lif1, lif2), readout, factors, decoder)


@torch.no_grad()
def start_from(chain: SpikingChain, twin: FeedForward, x: Tensor, rows: Tensor, step_bins: int) -> None:
    """Set the chain's weights from a trained `FeedForward`, without looking at any target.

    With a_l the twin's activations and lambda_l their 99.9th percentile, layer l takes::

        W_l <- g_l lambda_(l-1) W_l,    c_l <- g_l c_l,    g_l = k_l th_l (1 - b_l) / lambda_l

    where lambda_0 = n, the number of steps' inputs in the twin's window, because the twin sees their sum. A constant
    current at a_l = lambda_l / k_l then holds the membrane at its threshold. k_l is found by bisection such that the
    mean firing rate is the mean of a_l / lambda_l. The readout takes the twin's last layer, with a gain and a shift
    per output by least squares against the twin's own estimate.

    Parameters
    ----------
    chain : SpikingChain
    twin : FeedForward
        Finalised: with its normalisation folded into its weights.
    x : Tensor (T, C)
        Training input.
    rows : Tensor (B, steps, C)
        What the chain takes for the first `TWIN_BINS` bins of x: B stretches that begin at rest.
    step_bins : int
        Bins that are summed in one row.

    Raises
    ------
    InputError
        If the twin's layers have other sizes.
    """
    _check_sizes(chain, twin)
    activations, estimate = _run_twin(twin, x[:TWIN_BINS])
    first, window_bins = _first_matrix(twin)
    sources = [twin.stack.layers[f"dense{i}"] for i in (1, 2, 3)]
    scale_before = window_bins / step_bins
    y = rows
    for i, (dense, neurons) in enumerate(zip(chain.dense, chain.neurons, strict=False)):
        source = sources[i]
        assert isinstance(source, Dense)
        scale = float(_percentile(activations[i]))
        unit = (neurons.threshold * (1 - neurons.beta.clamp(0, 1))).expand(neurons.n) / scale
        weight = (first if i == 0 else source.linear.weight) * scale_before
        currents = y @ weight.T + source.linear.bias
        gain = _gain(neurons, currents * unit, float(activations[i].mean()) / scale)
        dense.linear.weight.copy_(weight * (gain * unit)[:, None])
        dense.linear.bias.copy_(source.linear.bias * gain * unit)
        if i == 0 and chain.standardise is not None:
            chain.standardise.unfold_from(dense)
        y, _ = neurons.scan(currents * unit * gain, neurons.initial_state(len(y)))
        scale_before = scale
    last = sources[2]
    assert isinstance(last, Dense)
    deviation = estimate.std(0).clamp(min=1e-12)
    leak = 1 - chain.readout.beta.clamp(0, 1)
    chain.dense[2].linear.weight.copy_(last.linear.weight * (scale_before * leak / _OUTPUT_FACTOR / deviation[:, None]))
    chain.dense[2].linear.bias.zero_()
    chain.factors.scale.copy_(_OUTPUT_FACTOR * deviation)
    _match_output(chain, x[:TWIN_BINS], estimate)


def _check_sizes(chain: SpikingChain, twin: FeedForward) -> None:
    own = {f"hidden{i + 1}": neurons.n for i, neurons in enumerate(chain.neurons)}
    theirs = {name: twin.hyper_parameters[name] for name in own}
    if own != theirs:
        advice = " ".join(f"--set {name}={size}" for name, size in theirs.items())
        raise InputError(
            f"decoder {chain.decoder.name!r} has {' and '.join(map(str, own.values()))} neurons, the {twin.name!r} "
            f"that it is to start from has {' and '.join(map(str, theirs.values()))} units: train with {advice}"
        )


def _run_twin(twin: FeedForward, x: Tensor) -> tuple[list[Tensor], Tensor]:
    """Activations behind both rectifications, and estimates, each (T, ...)."""
    activations, y = [], x[None]
    for name, layer in twin.stack.layers.items():
        assert isinstance(layer, Layer)
        y, _ = layer.scan(y, layer.initial_state(1))
        if name in ("relu1", "relu2"):
            activations.append(y[0])
    return activations, y[0]


def _first_matrix(twin: FeedForward) -> tuple[Tensor, int]:
    """The twin's first matrix for the sum over its window (units, C), and the bins in that window.

    One with a matrix for each sub-window gets their mean, the nearest that is the same for all.
    """
    dense = twin.stack.layers["dense1"]
    assert isinstance(dense, Dense)
    settings = twin.hyper_parameters
    if "boxcar" in settings:
        return dense.linear.weight, settings["boxcar"]
    weight = dense.linear.weight.unflatten(1, (settings["sub_windows"], -1)).mean(1)
    return weight, settings["sub_windows"] * settings["sub_window_bins"]


def _percentile(activations: Tensor) -> Tensor:
    values = activations.flatten()
    last = max(1, round((1 - _PERCENTILE) * len(values)))
    return torch.topk(values, last).values[-1].clamp(min=1e-6)


def _gain(neurons: Lif, currents: Tensor, rate: float) -> float:
    """Factor of these currents with which neurons fire at a mean rate."""
    low, high = _LOWEST_GAIN, _HIGHEST_GAIN
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        spikes, _ = neurons.scan(currents * middle, neurons.initial_state(len(currents)))
        low, high = (middle, high) if float(spikes.mean()) < rate else (low, middle)
    return (low * high) ** 0.5


def _match_output(chain: SpikingChain, x: Tensor, estimate: Tensor) -> None:
    """Gain and shift per output that bring the decoder nearest to the twin."""
    decoder = chain.decoder
    was_training = decoder.training
    decoder.eval()
    y = decoder(x[None])[0]
    decoder.train(was_training)
    centred = y - y.mean(0)
    gain = (centred * (estimate - estimate.mean(0))).sum(0) / centred.square().sum(0).clamp(min=1e-12)
    gain = torch.where(gain.abs() < 1e-3, torch.ones_like(gain), gain)
    decoder.scale_output(gain, estimate.mean(0) - gain * y.mean(0))
