"""What the decoder checks share: probe input, a decoder made ready as for deployment, comparisons, refusals."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy.signal import lfilter
from torch import Tensor

from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.errors import InputError
from bmi_decoder.layers.layer import State
from bmi_decoder.layers.lif import Lif
from bmi_decoder.layers.quantised_rnn import QuantisedRnn
from bmi_decoder.layers.resonate_fire import ResonateFire
from bmi_decoder.layers.synaptic import RecurrentSynapticLif
from bmi_decoder.machine.builder import Builder
from bmi_decoder.machine.executor import Executor
from bmi_decoder.onnx_executor import OnnxExecutor
from bmi_decoder.pipeline import Engine
from bmi_decoder.training.export import export_onnx, lower

Kind = Literal["counts", "filtered"]
KINDS: tuple[Kind, ...] = ("counts", "filtered")
N_LANES = 3
_SPIKING = (Lif, RecurrentSynapticLif, QuantisedRnn, ResonateFire)


def make(make_decoder: Callable[[], Decoder], seed: int = 0) -> Decoder:
    """A new decoder with the initial weights of `seed`, leaving torch's own generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = make_decoder()
    assert isinstance(decoder, Decoder), f"make_decoder must return a Decoder; got {type(decoder).__name__}"
    return decoder.eval()


class Trial:
    """A decoder on trial: made, finalised and run on one kind of input.

    Attributes
    ----------
    x : Tensor (N_LANES, n_bins, C)
        Spike counts, among them channels that are silent and empty bins; or such counts behind a low-pass,
        less their mean.
    """

    def __init__(
        self, make_decoder: Callable[[], Decoder], kind: Kind, n_bins: int, tolerance: float, exact: bool | None
    ) -> None:
        if n_bins < 20:
            raise ValueError(f"n_bins must be at least 20, got {n_bins}")
        self.make_decoder, self.kind = make_decoder, kind
        self.x = _input(make(make_decoder).n_channels, kind, n_bins)
        self._tolerance, self._exact = tolerance, exact

    def ready(self) -> Decoder:
        """A new decoder in the state in which `train` exports it, but untrained."""
        decoder = make(self.make_decoder)
        decoder.calibrate(self.x[0])
        decoder.finalise(x_step=1.0 if self.kind == "counts" else 0.0)
        return decoder.eval()

    @cached_property
    def decoder(self) -> Decoder:
        """A decoder that all checks of this trial share."""
        return self.ready()

    @cached_property
    def reference(self) -> tuple[Tensor, State]:
        """Output and last state of `x` by repeated `step`: what every other form must equal."""
        return stepped(self.decoder, self.x, self.decoder.initial_state(N_LANES))

    @property
    def row_input(self) -> npt.NDArray[np.float32]:
        """The first lane, as an engine takes it."""
        return self.x[0].numpy()

    def engine(self) -> Engine:
        """A fresh engine, as a live session would run the decoder: the machine, or ONNX Runtime."""
        program = lower(self.decoder)
        return self.onnx_engine() if program is None else Executor(program)

    def onnx_engine(self) -> OnnxExecutor:
        """A fresh ONNX session on the exported step."""
        n_channels, n_outputs = self.decoder.n_channels, self.decoder.n_outputs
        back = Builder(n_outputs)
        back.output(back.input())
        return OnnxExecutor(export_onnx(self.decoder), n_channels, n_outputs, None, Executor(back.build()))

    def agree(self, got: Any, want: Any, message: str) -> None:
        """Fail with `message` unless two outputs (..., bins, K) are equal within the trial's tolerance."""
        exact = self._exact if self._exact is not None else type(self.decoder).exact
        if exact is None:
            exact = any(isinstance(module, _SPIKING) for module in self.decoder.modules())
        got, want = np.asarray(got), np.asarray(want)
        assert got.shape == want.shape, f"{message}, on {self.kind}: shape {got.shape} instead of {want.shape}"
        assert np.isfinite(want).all() and np.isfinite(got).all(), f"{message}, on {self.kind}: output is not finite"
        allowed = 0.0 if exact else self._tolerance * max(1.0, float(np.abs(want).max()))
        difference = np.abs(got.astype(np.float64) - want)
        assert difference.max() <= allowed, (
            f"{message}, on {self.kind}: by up to {difference.max():.2g}, first at "
            f"{np.argwhere(difference > allowed)[0].tolist()}; allowed is {allowed:.2g}"
        )


def same_bits(got: Any, want: Any, message: str) -> None:
    """Fail with `message` unless two arrays are equal, a NaN being equal to a NaN."""
    got, want = (value.detach() if isinstance(value, Tensor) else value for value in (got, want))
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, f"{message}: shape {got.shape} instead of {want.shape}"
    differs = ~((got == want) | (np.isnan(got) & np.isnan(want)))
    assert not differs.any(), f"{message}: first at {np.argwhere(differs)[0].tolist()}"


def same_state(got: State, want: State, message: str) -> None:
    """Fail with `message` unless two states have the same fields in the same order, equal bit for bit."""
    assert list(got) == list(want), f"{message}: fields {list(got)} instead of {list(want)}"
    for name in want:
        same_bits(got[name], want[name], f"{message}, field {name!r}")


def refused(act: Callable[[], object], what: str) -> None:
    """Fail unless `act` raises an InputError."""
    try:
        act()
    except InputError:
        return
    except Exception as error:
        raise AssertionError(f"{what} must raise an InputError; it raises {error!r}") from error
    raise AssertionError(f"{what} must raise an InputError; it is accepted")


@torch.no_grad()
def stepped(decoder: Decoder, x: Tensor, state: State) -> tuple[Tensor, State]:
    """`x` (B, T, C) bin by bin, from a given state."""
    outputs = []
    for t in range(x.shape[1]):
        y, state = decoder.step(x[:, t], state)
        outputs.append(y)
    return torch.stack(outputs, 1), state


def _input(n_channels: int, kind: Kind, n_bins: int) -> Tensor:
    rng = np.random.default_rng(0)
    rates = rng.permutation(np.linspace(2.0, 0.0, n_channels))
    counts = rng.poisson(rates, (N_LANES, n_bins, n_channels)).astype(np.float64)
    counts[:, n_bins // 2 : n_bins // 2 + 5] = 0
    if kind == "filtered":
        counts = lfilter([0.3], [1.0, -0.7], counts - counts.mean((0, 1)), axis=1)
    return torch.from_numpy(counts.astype(np.float32))
