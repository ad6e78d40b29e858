"""Decoders that are fitted at once, against numpy on the same data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from bmi_decoder.decoders.decoder import StackDecoder
from bmi_decoder.decoders.kalman import KalmanDecoder
from bmi_decoder.decoders.wiener import WienerDecoder
from bmi_decoder.errors import InputError
from bmi_decoder.evaluation.r2 import mean_r2
from bmi_decoder.training.fit import fit
from bmi_decoder.training.loop import FitReport, Stretch
from bmi_decoder.training.recipe import Recipe


def task(lag: int = 0, n: int = 4000, noise: float = 0.3) -> tuple[Stretch, Stretch]:
    """Channels are a noisy linear image of a movement, `lag` bins ahead of it; one channel is silent."""
    rng = np.random.default_rng(0)
    y = lfilter([1], [1, -0.95], rng.standard_normal((n, 2)), axis=0)
    y = y / y.std(0)
    ahead = np.concatenate([y[lag:], y[n - lag :]])
    x = ahead @ rng.standard_normal((2, 12)) + noise * rng.standard_normal((n, 12)) + 3
    x[:, 4] = 0
    xt, yt = (torch.from_numpy(values.astype(np.float32)) for values in (x, y * [0.1, 30] + [0, 5]))
    cut = 3 * n // 4
    return Stretch(xt[:cut], yt[:cut]), Stretch(xt[cut:], yt[cut:])


def fitted(decoder: StackDecoder, parts: tuple[Stretch, Stretch]) -> FitReport:
    return fit(decoder, *parts, Recipe(), 0.05, 0, are_counts=False)


def test_wiener_is_least_squares() -> None:
    train, validation = task()
    decoder = WienerDecoder(12, 2, history=3, ridge=0.0)
    report = fitted(decoder, (train, validation))
    x, y = train.x.numpy().astype(np.float64), train.y.numpy()

    def taps(rows: np.ndarray) -> np.ndarray:
        padded = np.concatenate([np.zeros((2, 12)), rows])
        return np.concatenate([*(padded[k : k + len(rows)] for k in range(3)), np.ones((len(rows), 1))], 1)

    solution = np.linalg.lstsq(taps(x), y, rcond=None)[0]
    with torch.no_grad():
        got = decoder(validation.x[None])[0].numpy()
    want = taps(validation.x.numpy()) @ solution
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-3 * np.abs(want).max())
    assert report.validation_r2 == pytest.approx(mean_r2(validation.y, want), abs=1e-3)
    assert (report.epochs, report.best_epoch) == (0, 0)


def test_wiener_chooses_a_history_that_reaches_back_far_enough() -> None:
    decoder = WienerDecoder(12, 2)
    report = fitted(decoder, task(lag=5, noise=0.05))
    assert decoder.hyper_parameters["history"] >= 6
    assert decoder.hyper_parameters["ridge"] is not None
    assert report.validation_r2 > 0.97
    again = WienerDecoder(12, 2, **decoder.hyper_parameters)
    again.load_state_dict(decoder.state_dict())
    x = task(lag=5)[1].x[None, :100]
    assert torch.equal(again(x), decoder(x))


def test_wiener_sums_bins_to_taps() -> None:
    decoder = WienerDecoder(12, 2, history=3, tap_bins=4, ridge=1e-3)
    fitted(decoder, task(lag=8))
    assert decoder.initial_state(1)["history.ring"].shape == (1, 11, 12)


@pytest.mark.parametrize("rates", [False, True])
def test_kalman_is_the_filter_of_its_model(rates: bool) -> None:
    """The steady filter is the full one once its covariance has settled, and both beat a regression on one bin."""
    train, validation = task(noise=3.0)
    steady, full = (KalmanDecoder(12, 2, boxcar=1, noise_scale=1.0, rates=rates, steady_state=s) for s in (True, False))
    report = fitted(steady, (train, validation))
    fitted(full, (train, validation))
    with torch.no_grad():
        a, b = (decoder(validation.x[None])[0] for decoder in (steady, full))
    torch.testing.assert_close(a[300:], b[300:], rtol=0, atol=1e-3 * float(b.abs().max()))
    assert report.validation_r2 > fitted(WienerDecoder(12, 2, history=1), (train, validation)).validation_r2 + 0.02


def test_kalman_estimates_are_those_of_the_textbook() -> None:
    """Predict and update with covariances, as in Wu et al. 2006, in double precision."""
    train, validation = task(noise=2.0, n=2000)
    decoder = KalmanDecoder(12, 2, boxcar=1, noise_scale=1.0, steady_state=False)
    fitted(decoder, (train, validation))
    x, y = (v.numpy().astype(np.float64) for v in (train.x, train.y))
    z, mean = (y - y.mean(0)) / y.std(0, ddof=1), x.mean(0)
    a = np.linalg.lstsq(z[:-1], z[1:], rcond=None)[0].T
    w = np.cov((z[1:] - z[:-1] @ a.T).T, bias=True) + 0 * a
    h = np.linalg.lstsq(z, x - mean, rcond=None)[0].T
    residual = x - mean - z @ h.T
    q = residual.T @ residual / len(x)
    q = 0.99 * q + 0.01 * np.diag(q).mean() * np.eye(12)
    state, p, want = np.zeros(2), z.T @ z / len(z), []
    for row in validation.x.numpy():
        state, p = a @ state, a @ p @ a.T + w
        gain = p @ h.T @ np.linalg.inv(h @ p @ h.T + q)
        state = state + gain @ (row - mean - h @ state)
        p = (np.eye(2) - gain @ h) @ p
        want.append(state * y.std(0, ddof=1) + y.mean(0))
    with torch.no_grad():
        got = decoder(validation.x[None])[0].numpy()
    np.testing.assert_allclose(got, want, rtol=0, atol=5e-3 * np.abs(want).max())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WienerDecoder(3, 2, ridge=-1.0), "ridge must be at least 0"),
        (lambda: KalmanDecoder(3, 2, noise_scale=0.0), "noise_scale must be above 0"),
        (lambda: KalmanDecoder(3, 2, boxcar=0), "boxcar must be at least 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()  # type: ignore[operator]
