"""AEGRU of the BioCAS 2024 challenge, to the number and to the equation."""

from __future__ import annotations

import pytest
import torch

from bmi_decoder.decoders.ae_gru import AeGruDecoder
from bmi_decoder.errors import InputError
from tests.decoders.test_published_systems import paper


def test_it_follows_the_published_equations() -> None:
    """Five windows of 20 bins, from a memory of zero, without any of our layers."""
    decoder = paper("ae_gru", 6, seed=2)
    x = torch.poisson(torch.full((1, 150, 6), 0.3), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        decoder.train()
        decoder(x)  # running figures of the batch normalisation
        decoder.eval()
        p = {name.split("stack.layers.")[-1]: value for name, value in decoder.state_dict().items()}
        cell = torch.nn.GRUCell(32, 32)
        cell.load_state_dict({name: p[f"gru.gru.{name}_l0"] for name in cell.state_dict()})
        counts, want = torch.cat([torch.zeros(99, 6), x[0]]), []
        for t in range(150):
            h = torch.zeros(1, 32)
            for window in counts[t : t + 100].reshape(5, 20, 6).sum(1):
                u = torch.log(torch.log1p(torch.exp(window.double()))).float()
                z = p["encode.linear.weight"] @ u + p["encode.linear.bias"]
                deviation = torch.sqrt(p["norm.norm.running_var"] + 1e-5)
                z = (z - p["norm.norm.running_mean"]) / deviation * p["norm.norm.weight"] + p["norm.norm.bias"]
                h = torch.nn.functional.layer_norm(cell(z.clamp(-10, 10)[None], h), (32,))
            want.append(p["readout.linear.weight"] @ h[0] + p["readout.linear.bias"])
        got = decoder(x)[0]
    assert float(got.std()) > 0.01
    torch.testing.assert_close(got, torch.stack(want), rtol=0, atol=1e-5)


def test_nothing_of_training_is_in_the_decoder() -> None:
    decoder = paper("ae_gru", 96)
    assert [type(part).__name__ for part in decoder.auxiliaries(are_counts=True)] == [
        "Sampling",
        "Reconstruction",
        "EarlierWindows",
    ]
    assert {name.split(".")[-3] for name, _ in decoder.named_parameters()} == {"encode", "norm", "gru", "readout"}


@pytest.mark.parametrize(("bin_s", "bins"), [(0.004, 20), (0.02, 4), (0.05, 2), (0.2, 1)])
def test_windows_last_as_long_at_any_bin_width(bin_s: float, bins: int) -> None:
    settings = AeGruDecoder.adapt(AeGruDecoder.presets["paper"].hyper_parameters, bin_s, are_counts=True)
    state = AeGruDecoder(3, 2, **settings).initial_state(1)
    assert {name: value.shape[1] for name, value in state.items()} == {"windows.ring": 5 * bins - 1}


def test_with_one_window_memory_is_carried() -> None:
    state = AeGruDecoder(3, 2, latent=4, hidden=5, windows=1, width_s=0.012).initial_state(1)
    assert {name: tuple(value.shape[1:]) for name, value in state.items()} == {"windows.ring": (2, 3), "gru.h": (5,)}


@pytest.mark.parametrize(
    "settings", [{"windows": 0}, {"bin_s": 0.0}, {"width_s": -1.0}, {"reconstruction": -0.1}, {"sampling": -1}]
)
def test_settings_without_a_meaning_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match="must be"):
        AeGruDecoder(3, 2, **settings)  # type: ignore[arg-type]
