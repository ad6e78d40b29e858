"""What a decoder costs: memory, sparsity and operations per bin, as NeuroBench counts them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.errors import BmiError
from bmi_decoder.evaluation.bit_budget import BitBudget
from bmi_decoder.layers.layer import Layer, State

CHUNK = 1000
"""Bins that are decoded between two counts; bounds memory, changes no figure but the kind of a layer's input."""


@dataclass
class _Tally:
    """Sums of one set of connections over the whole stretch."""

    dense: int = 0
    effective: int = 0
    spiking: bool = True


@dataclass
class _Counts:
    """Sums over the whole stretch."""

    budget: BitBudget
    synapses: dict[tuple[int, int], _Tally] = field(default_factory=dict)
    connections: dict[tuple[int, int], tuple[Tensor, ...]] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    inner_steps: dict[int, list[Tensor]] = field(default_factory=dict)
    n_active: int = 0
    n_activations: int = 0

    def take(self, layer: Layer | Decoder, x: Tensor, y: Tensor, state: State) -> None:
        """Add what one call of a layer did."""
        steps = layer.inner_steps(x, y, state) if isinstance(layer, Layer) else None
        if steps is not None:
            self.inner_steps.setdefault(id(layer), []).append(steps.flatten())
        self.seen.add(id(layer))
        for i, synapses in enumerate(layer.synapses(x, y, state)):
            tally = self.synapses.setdefault((id(layer), i), _Tally())
            tally.dense += synapses.dense
            tally.effective += synapses.effective
            tally.spiking &= synapses.spiking
            self.connections[(id(layer), i)] = synapses.connections
            self.budget.take(layer, i, synapses)
        activations = layer.activations(x, y, state)
        if activations is not None:
            self.n_active += int(torch.count_nonzero(activations))
            self.n_activations += activations.numel()


@torch.no_grad()
def measure_operations(decoder: Decoder, stretches: Sequence[Tensor], state: State | None = None) -> dict[str, Any]:
    """Count what a decoder does on stretches of its own input.

    Parameters
    ----------
    decoder : Decoder
        Finalised, as its bundle holds it.
    stretches : sequence of Tensor (T, C)
        Decoder input: counts, or channels behind the input filter. State is reset between two stretches.
    state : State, optional
        First state of each stretch; None takes the decoder's own.

    Returns
    -------
    dict
        ``dense``, ``macs`` and ``acs`` per bin; ``footprint_bytes`` of parameters and buffers;
        ``connection_sparsity`` and ``activation_sparsity`` (0 to 1); ``state_floats`` carried from bin to bin;
        ``bit_budget``, see `BitBudget.figures`, and its totals ``s_ace`` and ``ns_ace``; ``inner_steps``, their
        ``mean`` and ``max`` per bin, or None without such; ``bins`` measured.

    Raises
    ------
    BmiError
        If a layer does not declare its synapses, or was passed by.

    Notes
    -----
    Yik et al. 2025, Nat. Commun. 16 1545 (NeuroBench, package 2.3): a multiplication counts as effective where
    weight and input both differ from zero; it is an accumulation (AC) where all inputs of the matrix are -1, 0
    or 1, and a multiply-accumulation (MAC) otherwise; dense counts all. Biases and activation functions do not
    count, element-wise products of gated cells do. Here a matrix is of one kind for the whole stretch.
    """
    decoder.eval()
    counts = _Counts(BitBudget(decoder))
    n_bins = 0
    try:
        with _watched(decoder, counts):
            for x in stretches:
                carried = decoder.initial_state(1) if state is None else state
                for chunk in x.split(CHUNK):
                    _, carried = decoder.scan(chunk[None], carried)
                    n_bins += len(chunk)
    except NotImplementedError as error:
        raise BmiError(str(error)) from None
    if not n_bins:
        raise BmiError("operations need at least one bin to be measured on")
    _check_seen(decoder, counts)
    tallies = counts.synapses.values()
    weights = [weight for group in counts.connections.values() for weight in group]
    n_weights = sum(weight.numel() for weight in weights)
    budget = counts.budget.figures(n_bins)
    return {
        "dense": sum(tally.dense for tally in tallies) / n_bins,
        "macs": sum(tally.effective for tally in tallies if not tally.spiking) / n_bins,
        "acs": sum(tally.effective for tally in tallies if tally.spiking) / n_bins,
        "footprint_bytes": footprint_bytes(decoder),
        "connection_sparsity": sum(int((weight == 0).sum()) for weight in weights) / n_weights if n_weights else 0.0,
        "activation_sparsity": 1 - counts.n_active / counts.n_activations if counts.n_activations else 0.0,
        "state_floats": sum(value.numel() for value in decoder.initial_state(1).values()),
        "s_ace": budget["s_ace"],
        "ns_ace": budget["ns_ace"],
        "bit_budget": budget,
        "inner_steps": _inner_steps(counts),
        "bins": n_bins,
    }


def _inner_steps(counts: _Counts) -> dict[str, float] | None:
    if not counts.inner_steps:
        return None
    per_bin = torch.stack([torch.cat(parts) for parts in counts.inner_steps.values()]).sum(0)
    return {"mean": float(per_bin.double().mean()), "max": int(per_bin.max())}


def footprint_bytes(decoder: Decoder) -> int:
    """Bytes of all parameters and buffers; of quantised weights those of their codes and scales."""
    codes = decoder.row_codes
    parameters = (codes.get(name, value).nbytes for name, value in decoder.named_parameters())
    return sum(parameters) + sum(value.nbytes for value in decoder.buffers())


@contextmanager
def _watched(decoder: Decoder, counts: _Counts) -> Iterator[None]:
    """Show every call of a layer's `step` or `scan` to `counts`, and the decoder's own."""
    with ExitStack() as stack:
        for part in decoder.modules():
            if isinstance(part, Layer | Decoder):
                stack.enter_context(_watch(part, counts))
        yield


@contextmanager
def _watch(part: Layer | Decoder, counts: _Counts) -> Iterator[None]:
    busy = False

    def watching(method: str) -> Any:
        original = getattr(part, method)

        def call(x: Tensor, state: State) -> tuple[Tensor, State]:
            nonlocal busy
            if busy:  # `scan` in terms of `step`: one call, not many
                return original(x, state)
            busy = True
            try:
                y, following = original(x, state)
            finally:
                busy = False
            rows = (x, y) if method == "scan" else (x[:, None], y[:, None])
            counts.take(part, *rows, state)
            return y, following

        return call

    methods = {method: watching(method) for method in ("step", "scan")}
    try:
        for method, replacement in methods.items():
            part.__dict__[method] = replacement
        yield
    finally:
        for method in methods:
            part.__dict__.pop(method, None)


def _check_seen(decoder: Decoder, counts: _Counts) -> None:
    """Raise an error where weights were used past the layer that they belong to."""
    for name, part in decoder.named_modules():
        if isinstance(part, Layer) and id(part) not in counts.seen and any(p.ndim > 1 for p in part.parameters()):
            raise BmiError(
                f"operations of layer {name!r} ({type(part).__name__}) cannot be counted: the decoder uses its "
                "weights without calling its step or scan"
            )
