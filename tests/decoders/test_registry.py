from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest
import torch

from bmi_decoder.decoders import registry
from bmi_decoder.decoders.decoder import Decoder, StackDecoder
from bmi_decoder.decoders.lstm import LstmDecoder
from bmi_decoder.decoders.registry import build_decoder, decoder_class, decoder_names
from bmi_decoder.decoders.snn_streaming import SnnStreamingDecoder
from bmi_decoder.errors import InputError
from tests.decoders.plugin import SmoothDecoder


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three more installed packages: a sound one, one with another class, one that cannot be imported."""
    values = {
        "smooth": "tests.decoders.plugin:SmoothDecoder",
        "other": "builtins:dict",
        "gone": "a_package_that_is_not_there:Decoder",
        "lost": "tests.decoders.plugin:NoSuchDecoder",
    }
    points = EntryPoints(EntryPoint(name, value, registry.GROUP) for name, value in values.items())
    monkeypatch.setattr(registry, "entry_points", lambda **wanted: points.select(**wanted))


def test_our_decoders_are_registered() -> None:
    ours = (
        "ann_2d ann_3d big_rsnn gru kalman l2mu lstm "
        "qcrnn rbif_rnn s5_rf snn_3d snn_streaming spik_mamba spikformer tiny_rsnn wiener"
    )
    assert set(ours.split()) <= set(decoder_names())
    assert decoder_names() == sorted(decoder_names())
    assert decoder_class("lstm") is LstmDecoder
    assert decoder_class("snn_streaming") is SnnStreamingDecoder


def test_names_are_those_of_the_classes() -> None:
    for name in decoder_names():
        assert decoder_class(name).name == name


def test_an_unknown_name_gets_those_that_exist() -> None:
    with pytest.raises(InputError, match=r"there is no decoder 'lsmt'; choose one of ae_gru, .*, lstm, .*, wiener"):
        decoder_class("lsmt")


@pytest.mark.usefixtures("plugins")
def test_other_packages_bring_decoders() -> None:
    assert decoder_names() == ["gone", "lost", "other", "smooth"]
    assert decoder_class("smooth") is SmoothDecoder
    assert build_decoder("smooth", 3, 1, {"decay": 0.5}).hyper_parameters == {"decay": 0.5}


@pytest.mark.usefixtures("plugins")
def test_a_broken_package_gets_a_clear_error() -> None:
    with pytest.raises(InputError, match="'builtins:dict' of decoder 'other' is not a Decoder class"):
        decoder_class("other")
    for name in ("gone", "lost"):
        with pytest.raises(InputError, match=f"decoder '{name}' cannot be loaded .* repair or uninstall"):
            decoder_class(name)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("lstm", {"hiden": 3}, "unexpected keyword argument 'hiden'"),
        ("lstm", {"hidden": 0}, "hidden"),
        ("lstm", {"hidden": -4}, "hidden|negative"),
        ("lstm", {"hidden": "many"}, "hidden is 'many': Input should be a valid integer"),
        ("lstm", {"hidden": True}, "hidden is True: Input should be a valid integer"),
        ("lstm", {"boxcar": 0}, "boxcar must be at least 1"),
        ("lstm", {"boxcar": 2.5}, "boxcar is 2.5: Input should be a valid integer"),
        ("lstm", {"boxcar": "wide"}, "boxcar is 'wide': Input should be a valid integer"),
        ("lstm", {"normalise": "batch"}, "normalise must be 'layer' or 'standard', got 'batch'"),
        ("lstm", {"dropout": 2}, "between 0 and 1"),
        ("lstm", {"initial": "ones"}, "initial is 'ones': Input should be 'orthogonal', 'xavier_normal' or 'torch'"),
        ("snn_streaming", {"dropout": -0.5}, "between 0 and 1"),
        ("snn_streaming", {"graded_limit": 4.0, "graded_step": 0.1}, "power of two"),
        ("snn_streaming", {"graded_limit": 4.1, "graded_step": 0.5}, "multiple of its step"),
        ("snn_streaming", {"hidden1": 0}, "needs inputs and outputs"),
        ("snn_streaming", {"betas": [0.9]}, "index"),
        ("snn_streaming", {"hidden1": "x"}, "int|str"),
        ("gru", {"normalise": "batch"}, "normalise must be 'layer' or 'standard', got 'batch'"),
        ("gru", {"boxcar": 0}, "boxcar must be at least 1"),
        ("ann_2d", {"boxcar": 0}, "at least 2 bins"),
        ("ann_3d", {"sub_windows": 1, "sub_window_bins": 1}, "together of 2 bins at least"),
        ("snn_3d", {"normalise": "batch"}, "normalise must be 'layer' or 'standard', got 'batch'"),
        ("tiny_rsnn", {"readout_taus": []}, "one head at least"),
        ("tiny_rsnn", {"tau_membrane": 0}, "above 0 bins"),
        ("tiny_rsnn", {"input_rate": 0}, "input rate must be above 0"),
        ("s5_rf", {"layers": 0}, "layers must be 1 to 4, got 0"),
        ("s5_rf", {"layers": 5}, "layers must be 1 to 4, got 5"),
        ("s5_rf", {"blocks": 3}, "128 neurons cannot be cut into 3 blocks"),
        ("s5_rf", {"eta_min": 0}, "limits of eta must be above 0"),
        ("s5_rf", {"fluctuation": 0}, "fluctuation must be above 0"),
        ("wiener", {"history": 0}, "at least 1"),
        ("l2mu", {"neuron": "izhikevich"}, "neuron is 'izhikevich': Input should be 'lif' or 'cuba'"),
        ("l2mu", {"memory": "lost"}, "memory is 'lost': Input should be 'spiking' or 'analogue'"),
        ("l2mu", {"order": 0}, "order of 1 at least and a window above 0 bins, got 0"),
        ("l2mu", {"window": 0}, "order of 1 at least and a window above 0 bins"),
        ("l2mu", {"encoders": 0}, "needs encoders and hidden neurons, got 0 and 64"),
        ("l2mu", {"betas": [0.5]}, r"betas takes 4 numbers, got \[0.5\]"),
        ("qcrnn", {"levels": 1}, "levels from 2 to 256, got 1"),
        ("qcrnn", {"hidden_levels": 300}, "even number of levels from 2 to 256, got 300"),
        ("rbif_rnn", {"hidden_levels": 15}, "even number of levels from 2 to 256, got 15"),
        ("rbif_rnn", {"filters": []}, "one stage at least"),
        ("rbif_rnn", {"filters": 64}, "filters is 64"),
        ("qcrnn", {"taps": 1, "tap_bins": 1}, "2 bins at least"),
    ],
)
def test_settings_that_cannot_be_are_refused(name: str, settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        build_decoder(name, 8, 2, settings)
    assert str(caught.value).startswith(f"decoder {name!r}: ")


def test_whole_numbers_are_taken_where_a_setting_is_real() -> None:
    dropout = build_decoder("lstm", 4, 2, {"dropout": 0}).hyper_parameters["dropout"]
    assert (dropout, type(dropout)) == (0.0, float)


@pytest.mark.parametrize(("n_channels", "n_outputs"), [(0, 2), (4, 0), (-1, 2)])
def test_a_decoder_needs_channels_and_outputs(n_channels: int, n_outputs: int) -> None:
    with pytest.raises(InputError, match="needs channels and outputs"):
        Decoder(n_channels, n_outputs, {})


def test_a_decoder_says_what_it_lacks() -> None:
    decoder = Decoder(3, 2, {})
    for act in (
        lambda: decoder.initial_state(1),
        lambda: decoder.step(torch.zeros(1, 3), {}),
        lambda: decoder.lower(None, None),  # type: ignore[arg-type]
        lambda: decoder.scale_output(torch.ones(2), torch.zeros(2)),
    ):
        with pytest.raises(NotImplementedError, match="Decoder"):
            act()


@pytest.mark.parametrize("name", ["lstm", "snn_streaming"])
def test_errors_of_shape_name_the_decoder_and_what_it_takes(name: str) -> None:
    decoder = build_decoder(name, 5, 2, {})
    assert isinstance(decoder, StackDecoder)
    with pytest.raises(
        InputError, match=rf"decoder '{name}' takes float32 \(batch, bins, 5\), got .*float32 \(1, 9, 4\)"
    ):
        decoder(torch.zeros(1, 9, 4))
    with pytest.raises(InputError, match=rf"decoder '{name}' takes float32 \(batch, 5\), got torch.float64"):
        decoder.step(torch.zeros(1, 5).double(), decoder.initial_state(1))


@pytest.mark.parametrize("normalise", ["layer", "standard"])
@pytest.mark.parametrize("boxcar", [1, 4])
def test_lstm_is_calibrated_behind_its_boxcar(normalise: str, boxcar: int) -> None:
    decoder = LstmDecoder(3, 1, hidden=4, boxcar=boxcar, normalise=normalise)
    x = torch.poisson(torch.full((3000, 3), 4.0), generator=torch.Generator().manual_seed(0))
    decoder.calibrate(x)
    layer = decoder.stack.layers["normalise"]
    if normalise == "standard":
        torch.testing.assert_close(layer.scale, torch.full((3,), (4.0 * boxcar) ** -0.5), rtol=0.1, atol=0)
        torch.testing.assert_close(-layer.shift / layer.scale, torch.full((3,), 4.0 * boxcar), rtol=0.05, atol=0)


@pytest.mark.parametrize("name", ["lstm", "snn_streaming"])
def test_targets_scale_and_mean_are_folded_in(name: str) -> None:
    """The spiking decoder's mean builds up over a few time constants of its readout."""
    torch.manual_seed(0)
    decoder = build_decoder(name, 6, 2, {}).eval()
    x = torch.poisson(torch.ones(1, 200, 6), generator=torch.Generator().manual_seed(0))
    scale, shift = torch.tensor([3.0, 0.01]), torch.tensor([-7.0, 5.0])
    with torch.no_grad():
        before = decoder(x)
        decoder.scale_output(scale, shift)
        torch.testing.assert_close(decoder(x)[:, 100:], (before * scale + shift)[:, 100:], rtol=0, atol=1e-4)


def test_an_output_that_hardly_moves_leaves_the_others_their_precision() -> None:
    """A kinematic column that is constant and not zero gets a huge bias behind a tiny factor."""
    torch.manual_seed(1)
    decoder = SnnStreamingDecoder(6, 3).eval()
    x = torch.poisson(torch.ones(1, 300, 6), generator=torch.Generator().manual_seed(0))
    scale, shift = torch.tensor([1.0, 1.0, 1e-12]), torch.tensor([0.0, 0.0, 5.0])
    with torch.no_grad():
        before = decoder(x)
        decoder.scale_output(scale, shift)
        decoder.finalise(x_step=1.0)
        after = decoder(x)
    torch.testing.assert_close(after[..., :2], before[..., :2], rtol=0, atol=1e-4)
    torch.testing.assert_close(after[:, 100:, 2], torch.full((1, 200), 5.0), rtol=1e-3, atol=0)
