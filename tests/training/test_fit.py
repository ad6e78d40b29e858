from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.signal import lfilter
from torch import Tensor

from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.decoders.lstm import LstmDecoder
from bmi_decoder.decoders.snn_streaming import SnnStreamingDecoder
from bmi_decoder.errors import BmiError
from bmi_decoder.evaluation.r2 import mean_r2
from bmi_decoder.training.fit import fit
from bmi_decoder.training.loop import FitReport, Progress, Stretch
from bmi_decoder.training.recipe import Recipe
from tests.decoders.plugin import SmoothDecoder

N_CHANNELS = 12


def lstm() -> Decoder:
    return LstmDecoder(N_CHANNELS, 2, hidden=16, dropout=0.0)


def spiking() -> Decoder:
    return SnnStreamingDecoder(
        N_CHANNELS, 2, hidden1=64, hidden2=32, graded_limit=4.0, graded_step=0.0625, per_neuron=True
    )


def task(n_train: int = 3000, n_validation: int = 1000) -> tuple[Stretch, Stretch]:
    """Channels are a noisy linear image of a smooth movement, whose two columns differ in size and mean."""
    rng = np.random.default_rng(0)
    n = n_train + n_validation
    y = lfilter([1], [1, -0.95], rng.standard_normal((n, 2)), axis=0)
    y /= y.std(0)
    x = y @ rng.standard_normal((2, N_CHANNELS)) + 0.3 * rng.standard_normal((n, N_CHANNELS))
    x, y = (torch.from_numpy(values.astype(np.float32)) for values in (x, y * [0.1, 30] + [0, 5]))
    return Stretch(x[:n_train], y[:n_train]), Stretch(x[n_train:], y[n_train:])


def fitted(make: Callable[[], Decoder], seed: int = 0, **recipe: object) -> tuple[Decoder, FitReport]:
    torch.manual_seed(11)
    decoder = make()
    settings = {"epochs": 30, "learning_rate": 1e-2, **recipe}
    return decoder, run_fit(decoder, Recipe(**settings), seed)  # type: ignore[arg-type]


def run_fit(
    decoder: Decoder,
    recipe: Recipe,
    seed: int = 0,
    data: tuple[Stretch, Stretch] | None = None,
    progress: Progress | None = None,
) -> FitReport:
    return fit(decoder, *(data or task()), recipe, bin_s=0.05, seed=seed, are_counts=False, progress=progress)


@pytest.mark.parametrize("make", [lstm, spiking])
def test_learns_a_linear_task(make: Callable[[], Decoder]) -> None:
    decoder, report = fitted(make)
    _, validation = task()
    assert report.epochs == 30
    assert report.validation_r2 > 0.9
    assert not decoder.training
    with torch.no_grad():
        y = decoder(validation.x[None])[0]
    # What fit leaves is the best epoch's decoder, in the units of the targets.
    assert mean_r2(validation.y[50:], y[50:]) == pytest.approx(report.validation_r2, abs=0.02)
    assert float(y[:, 1].mean()) == pytest.approx(float(validation.y[:, 1].mean()), abs=3)


@pytest.mark.parametrize("make", [lstm, spiking])
def test_the_seed_determines_everything(make: Callable[[], Decoder]) -> None:
    settings = {"epochs": 2, "unit_dropout": 0.1}

    def weights(seed: int) -> list[Tensor]:
        return [value.clone() for value in fitted(make, seed, **settings)[0].state_dict().values()]

    first = weights(1)
    torch.rand(17)
    assert all(torch.equal(a, b) for a, b in zip(first, weights(1), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, weights(2), strict=True))


def test_the_best_epoch_is_kept() -> None:
    """With a learning rate that destroys, the decoder of an early epoch is what remains."""
    scores: list[float] = []
    torch.manual_seed(0)
    decoder = lstm()
    recipe = Recipe(epochs=12, learning_rate=1.5, warm_up=0.9, averaging=0)
    report = run_fit(decoder, recipe, progress=lambda epoch, total, score: scores.append(score))
    assert report.best_epoch == int(np.nanargmax(scores)) + 1 < 12
    assert report.validation_r2 == max(scores)
    _, validation = task()
    with torch.no_grad():
        assert mean_r2(validation.y, decoder(validation.x[None])[0]) == pytest.approx(max(scores), abs=1e-3)


def test_progress_is_told_after_each_epoch() -> None:
    told: list[tuple[int, int, float]] = []
    report = run_fit(lstm(), Recipe(epochs=3), progress=lambda *news: told.append(news))
    assert [(epoch, total) for epoch, total, _ in told] == [(1, 3), (2, 3), (3, 3)]
    assert max(score for *_, score in told) == report.validation_r2
    assert report.seconds > 0


def test_patience_ends_training_early() -> None:
    told: list[float] = []
    recipe = Recipe(epochs=40, patience=2, learning_rate=3.0, averaging=0, warm_up=0)
    report = run_fit(lstm(), recipe, progress=lambda epoch, total, score: told.append(score))
    assert report.epochs == len(told) == report.best_epoch + 2 < 40


@pytest.mark.parametrize("make", [lstm, lambda: SmoothDecoder(N_CHANNELS, 2)])
def test_a_loss_that_is_not_finite_gets_a_clear_error(make: Callable[[], Decoder]) -> None:
    with pytest.raises(BmiError, match=r"training loss is (nan|inf) in epoch 1: lower the learning rate, .*=2.5e\+29"):
        fitted(make, learning_rate=1e30, warm_up=0)


def test_nan_in_the_targets_gets_a_clear_error() -> None:
    train, validation = task()
    train.y[700, 1] = math.nan
    with pytest.raises(BmiError, match="training loss is nan in epoch 1"):
        run_fit(lstm(), Recipe(epochs=1), data=(train, validation))


def test_a_decoder_of_a_users_own_can_be_trained() -> None:
    assert fitted(lambda: SmoothDecoder(N_CHANNELS, 2, decay=0.25))[1].validation_r2 > 0.9


def test_targets_that_do_not_move_do_no_harm() -> None:
    train, validation = task()
    for stretch in (train, validation):
        stretch.y[:, 1] = 5.0
    decoder = spiking()
    report = run_fit(decoder, Recipe(epochs=20, learning_rate=1e-2), data=(train, validation))
    decoder.finalise()
    assert report.validation_r2 > 0.85, "judged on the column that moves"
    with torch.no_grad():
        y = decoder(validation.x[None])[0, 200:]
    assert mean_r2(validation.y[200:, :1], y[:, :1]) > 0.85
    torch.testing.assert_close(y[:, 1], torch.full((800,), 5.0), rtol=0.01, atol=0)


def test_weight_decay_spares_biases_decays_and_thresholds() -> None:
    """With nothing to learn from, only decay moves the weights."""
    train, validation = task()
    silent = Stretch(torch.zeros_like(train.x), torch.zeros_like(train.y))

    def shrunk(weight_decay: float) -> dict[str, float]:
        decoder = spiking()
        before = {name: float(value.detach().norm()) for name, value in decoder.named_parameters()}
        recipe = Recipe(epochs=4, weight_decay=weight_decay, averaging=0, learning_rate=1e-3)
        run_fit(decoder, recipe, data=(silent, validation))
        return {name: float(value.detach().norm()) / before[name] for name, value in decoder.named_parameters()}

    without, strong = shrunk(0.0), shrunk(10.0)
    weight, beta = "stack.layers.dense1.linear.weight", "stack.layers.lif1.beta"
    assert without[weight] == pytest.approx(1, abs=0.01)
    assert strong[weight] < 0.95
    assert strong[beta] == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("settings", "updates_per_pass", "passes"),
    [
        ({"updates": 100}, 10, 10),
        ({"updates": 101}, 10, 11),
        ({"updates": 1}, 1000, 4),
        ({"epochs": 3, "updates": 1000}, 10, 3),
    ],
)
def test_length_of_training_is_in_updates_or_in_epochs(settings: dict, updates_per_pass: int, passes: int) -> None:
    assert Recipe(**settings).passes(updates_per_pass) == passes


@pytest.mark.parametrize(("bin_s", "bins"), [(0.05, 50), (0.02, 125), (0.004, 250), (0.001, 250), (10.0, 1)])
def test_windows_are_in_seconds_up_to_a_limit_in_bins(bin_s: float, bins: int) -> None:
    assert Recipe(window_s=2.5).window(bin_s) == bins
