"""Counts by hand, and against the public NeuroBench package on the same networks built without our layers."""

from __future__ import annotations

import importlib.util
import warnings

import pytest
import torch
from torch import Tensor, nn

from bmi_decoder.decoders.decoder import Decoder, StackDecoder
from bmi_decoder.decoders.registry import build_decoder, decoder_class, decoder_names
from bmi_decoder.errors import BmiError
from bmi_decoder.evaluation.operations import measure_operations
from bmi_decoder.layers.boxcar import Boxcar
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.layer import Layer, State
from bmi_decoder.layers.lif import LeakyReadout, Lif
from bmi_decoder.layers.lstm import Lstm
from bmi_decoder.layers.normalise import OutputScale

N_BINS = 120
has_neurobench = importlib.util.find_spec("neurobench") is not None
needs_neurobench = pytest.mark.skipif(
    not has_neurobench, reason="neurobench is not installed: pip install --no-deps neurobench==2.3.0"
)


def counts(n_channels: int, n_bins: int = N_BINS, rate: float = 0.3) -> Tensor:
    return torch.poisson(torch.full((n_bins, n_channels), rate), generator=torch.Generator().manual_seed(0))


def paper(name: str, n_channels: int = 96) -> Decoder:
    torch.manual_seed(0)
    return build_decoder(name, n_channels, 2, dict(decoder_class(name).presets["paper"].hyper_parameters))


DENSE = {
    "snn_streaming": {96: 4_704, 192: 7_776},
    "snn_3d": {96: 32_928, 192: 54_432},
    "ann_3d": {96: 23_136, 192: 44_640},
    "ann_2d": {96: 4_704, 192: 7_776},
    "lstm": {96: 16_384 + 64 + 96, 192: 28_672 + 64 + 96},
}


@pytest.mark.parametrize("n_channels", [96, 192])
@pytest.mark.parametrize("name", sorted(DENSE))
def test_dense_operations_are_the_papers(name: str, n_channels: int) -> None:
    if name not in decoder_names():
        pytest.skip(f"{name} is not registered")
    measured = measure_operations(paper(name, n_channels), [counts(n_channels)])
    assert measured["dense"] == DENSE[name][n_channels]
    assert measured["macs"] + measured["acs"] <= measured["dense"]


@pytest.mark.parametrize("name", decoder_names())
def test_every_decoder_can_be_counted(name: str) -> None:
    cls = decoder_class(name)
    for preset in cls.presets.values():
        torch.manual_seed(0)
        decoder = build_decoder(name, 12, 2, cls.adapt(preset.hyper_parameters, 0.004, True))
        measured = measure_operations(decoder, [counts(12)])
        assert 0 < measured["macs"] + measured["acs"] <= measured["dense"]
        assert 0 <= measured["activation_sparsity"] <= 1
        assert measured["footprint_bytes"] >= 4 * sum(p.numel() for p in decoder.parameters())


class Own(StackDecoder):
    name = "own"

    def __init__(self, *layers: Layer) -> None:
        super().__init__(3, 2, {}, {f"layer{i}": layer for i, layer in enumerate(layers)})


def fixed(weight: list[list[float]]) -> Dense:
    layer = Dense(len(weight[0]), len(weight))
    with torch.no_grad():
        layer.linear.weight.copy_(torch.tensor(weight))
    return layer


def test_a_zero_on_either_side_is_no_operation() -> None:
    decoder = Own(fixed([[1.0, 0.0, 2.0], [0.0, 3.0, 4.0]]))
    measured = measure_operations(decoder, [torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])])
    # First bin: columns 0 (one weight) and 2 (two); second bin: column 1 (one).
    assert (measured["dense"], measured["acs"], measured["macs"]) == (6, 2, 0)
    assert measured["connection_sparsity"] == pytest.approx(2 / 6)
    assert measured["footprint_bytes"] == 4 * (6 + 2)
    assert measured["s_ace"] == 6 * 32
    assert measured["ns_ace"] == 2 * 32


def test_one_count_of_two_makes_the_products_multiplications() -> None:
    decoder = Own(fixed([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]))
    x = torch.zeros(4000, 3)
    x[5, 0], x[3500, 1] = 1, 2  # in different chunks
    measured = measure_operations(decoder, [x])
    assert (measured["acs"], measured["macs"]) == (0, 4 / 4000)
    assert measured["s_ace"] == 6 * 32 * 2


def test_inner_steps_are_those_of_every_bin() -> None:
    torch.manual_seed(0)
    x = torch.poisson(torch.full((60, 5), 0.5))
    assert measure_operations(build_decoder("lstm", 5, 2, {"hidden": 3}).eval(), [x])["inner_steps"] is None
    steady = build_decoder("snn_3d", 5, 2, {"hidden1": 4, "hidden2": 3, "sub_windows": 6, "sub_window_bins": 1})
    steady.finalise(1.0)
    assert measure_operations(steady, [x])["inner_steps"] == {"mean": 6.0, "max": 6}
    settling = build_decoder("rbif_rnn", 5, 2, {"hidden": 6, "filters": [4]})
    settling.calibrate(x)
    settling.finalise(1.0)
    network = settling.eval().stack.layers["network"]  # type: ignore[union-attr,operator]
    taken = []
    found = measure_operations(settling, [x[:40], x[40:]])["inner_steps"]
    with torch.no_grad():
        for part in (x[:40], x[40:]):
            rows = part[None]
            for name in ("encode", "window", "standardise"):
                rows, _ = settling.stack.layers[name].scan(rows, settling.stack.layers[name].initial_state(1))  # type: ignore
            taken += network.inner_steps(rows, rows, network.initial_state(1))[0].tolist()
    assert found == {"mean": pytest.approx(sum(taken) / 60), "max": max(taken)}
    assert len(set(taken)) > 2


def test_activation_sparsity_counts_spikes_of_all_neurons() -> None:
    decoder = Own(fixed([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), Lif(2, beta=0.0, threshold=0.5, reset="none"))
    with torch.no_grad():
        decoder.stack.layers["layer0"].linear.bias.zero_()  # type: ignore[union-attr]
    measured = measure_operations(decoder, [torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])])
    assert measured["activation_sparsity"] == 3 / 4


def test_decoding_is_the_same_after_as_before() -> None:
    decoder = paper("lstm").eval()
    x = counts(96)
    with torch.no_grad():
        before = decoder(x[None])
        measure_operations(decoder, [x])
        assert torch.equal(decoder(x[None]), before)
    assert not any("scan" in part.__dict__ for part in decoder.modules())


class Silent(Layer):
    """Holds a matrix and does not say so."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return self.linear(x), state


class Bypass(Layer):
    """Uses the weights of a layer inside it behind its back."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Dense(3, 2)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return self.inner.linear(x), state


class Nested(Layer):
    """Steps through a layer inside it three times a bin."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Dense(3, 3)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        for _ in range(3):
            x, _ = self.inner.step(x, {})
        return x, state


def test_a_layer_that_declares_nothing_is_an_error_that_names_it() -> None:
    with pytest.raises(BmiError, match=r"layer Silent holds matrices \(linear.weight\).*override Layer.synapses"):
        measure_operations(Own(Silent()), [counts(3)])
    with pytest.raises(BmiError, match=r"layer 'stack.layers.layer0.inner' \(Dense\) cannot be counted"):
        measure_operations(Own(Bypass()), [counts(3)])


def test_layers_inside_layers_are_counted_as_often_as_they_run() -> None:
    assert measure_operations(Own(Nested()), [counts(3)])["dense"] == 3 * 9


class SpikingNet(nn.Module):
    """The published streaming network of snnTorch's neurons, with one of our decoders' weights."""

    def __init__(self, decoder: StackDecoder) -> None:
        import snntorch

        super().__init__()
        layers = decoder.stack.layers
        self.fc = nn.ModuleList(layers[f"dense{i}"].linear for i in (1, 2, 3))  # type: ignore[misc]
        neurons = []
        for name, reset in (("lif1", "subtract"), ("lif2", "none"), ("readout", "none")):
            layer = layers[name]
            assert isinstance(layer, Lif | LeakyReadout)
            neurons.append(
                snntorch.Leaky(
                    beta=layer.beta.detach(),
                    threshold=layer.threshold.detach(),
                    learn_beta=True,
                    learn_threshold=True,
                    reset_mechanism=reset,
                )
            )
        self.lif = nn.ModuleList(neurons)
        scale = layers["scale"]
        assert isinstance(scale, OutputScale)
        self.scale = nn.Parameter(scale.scale.detach())

    def forward(self, x: Tensor) -> Tensor:
        membranes = [lif.init_leaky() for lif in self.lif]
        outputs = []
        for row in (x > 0).float():
            current = row[None]
            for i, (fc, lif) in enumerate(zip(self.fc, self.lif, strict=True)):
                current, membranes[i] = lif(fc(current), membranes[i])
            outputs.append(membranes[-1] * self.scale)
        return torch.stack(outputs)


class CellNet(nn.Module):
    """The published LSTM as a cell that steps through the bins from a given state."""

    def __init__(self, decoder: StackDecoder, state: State) -> None:
        super().__init__()
        layers = decoder.stack.layers
        lstm, boxcar, readout = layers["lstm"], layers["boxcar"], layers["readout"]
        assert isinstance(lstm, Lstm) and isinstance(boxcar, Boxcar) and isinstance(readout, Dense)
        self.norm = layers["normalise"].norm
        self.cell = nn.LSTMCell(lstm.lstm.input_size, lstm.n_hidden)
        self.cell.load_state_dict({name.removesuffix("_l0"): value for name, value in lstm.lstm.state_dict().items()})
        self.readout = readout.linear
        self._boxcar, self._state = boxcar, state  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        sums, _ = self._boxcar.scan(x[None], {"ring": self._state["boxcar.ring"]})
        h, c = self._state["lstm.h"], self._state["lstm.c"]
        outputs = []
        for row in self.norm(sums[0]):
            h, c = self.cell(row[None], (h, c))
            outputs.append(self.readout(h))
        return torch.stack(outputs)


def by_neurobench(net: nn.Module, x: Tensor) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from neurobench.metrics.static import ConnectionSparsity, Footprint
        from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
        from neurobench.models import SNNTorchModel
    model = SNNTorchModel(net, custom_forward=True)
    footprint = Footprint()(model)  # before a run: snnTorch then keeps its state in buffers
    model.register_hooks()
    with torch.no_grad():
        predictions = model(x)
    operations = SynapticOperations()(model, predictions, (x, x))
    return {
        "dense": operations["Dense"],
        "macs": operations["Effective_MACs"],
        "acs": operations["Effective_ACs"],
        "activation_sparsity": ActivationSparsity()(model, predictions, (x, x)),
        "connection_sparsity": ConnectionSparsity()(model),
        "footprint_bytes": footprint,
    }


def pruned(decoder: Decoder) -> Decoder:
    """A quarter of all weights set to zero, so that connections are sparse too."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in decoder.parameters():
            if value.ndim > 1:
                value.mul_(torch.rand(value.shape, generator=generator) > 0.25)
    return decoder


@needs_neurobench
def test_snn_streaming_counts_as_neurobench_counts() -> None:
    decoder = pruned(paper("snn_streaming"))
    assert isinstance(decoder, StackDecoder)
    x = counts(96)
    measured = measure_operations(decoder, [x])
    expected = by_neurobench(SpikingNet(decoder), x)
    assert measured["macs"] == expected["macs"] == 0
    for name in ("dense", "acs", "activation_sparsity"):
        assert measured[name] == pytest.approx(expected[name], rel=1e-12), name
    assert measured["acs"] > 0
    assert measured["connection_sparsity"] == pytest.approx(expected["connection_sparsity"], abs=5.1e-5)  # it rounds
    # Each of snnTorch's three neuron layers has three scalars as buffers that ours do not need.
    assert expected["footprint_bytes"] == measured["footprint_bytes"] + 3 * 3 * 4


@needs_neurobench
def test_lstm_counts_as_neurobench_counts() -> None:
    decoder = pruned(paper("lstm")).eval()
    assert isinstance(decoder, StackDecoder)
    with torch.no_grad():
        # Off zero, as after training: NeuroBench takes a bin whose normalised channels are all 0 for spikes.
        decoder.stack.layers["normalise"].norm.bias.fill_(0.1)
        # And its dense count of a memory that is still empty leaves out the recurrent products.
        _, state = decoder.scan(counts(96)[None], decoder.initial_state(1))
    x = counts(96, rate=0.1)
    measured = measure_operations(decoder, [x], state)
    expected = by_neurobench(CellNet(decoder, state), x)
    assert measured["acs"] == expected["acs"] == 0
    for name in ("dense", "macs", "activation_sparsity", "footprint_bytes"):
        assert measured[name] == pytest.approx(expected[name], rel=1e-12), name
    assert measured["connection_sparsity"] == pytest.approx(expected["connection_sparsity"], abs=5.1e-5)


PUBLISHED_FOOTPRINTS = {"snn_streaming": {96: 19_596, 192: 32_268}, "lstm": {96: 67_976, 192: 118_280}}


@pytest.mark.parametrize("n_channels", [96, 192])
@pytest.mark.parametrize(("name", "n_neuron_layers"), [("snn_streaming", 3), ("lstm", 0)])
def test_footprints_are_the_papers_up_to_its_librarys_buffers(name: str, n_neuron_layers: int, n_channels: int) -> None:
    """One bin of channels that NeuroBench's baselines buffer, and three scalars per snnTorch neuron layer."""
    buffers = 4 * n_channels + 12 * n_neuron_layers
    measured = measure_operations(paper(name, n_channels), [counts(n_channels, 2)])
    assert measured["footprint_bytes"] + buffers == PUBLISHED_FOOTPRINTS[name][n_channels]
