"""Square root, log-softplus and limits in torch and on the machine."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bmi_decoder.layers.compress import Clamp, LogSoftplus, SquareRoot
from bmi_decoder.layers.normalise import Pointwise
from bmi_decoder.machine.builder import Builder
from bmi_decoder.machine.executor import Executor

X = np.concatenate([np.arange(30), -np.arange(30) / 7, [-1e30, -90, -20, 88, 1e30]]).astype(np.float32)


def on_the_machine(layer: Pointwise, x: np.ndarray) -> np.ndarray:
    builder = Builder(x.size)
    builder.output(layer.lower(builder, builder.input()))
    return Executor(builder.build()).run(x[None])[0]


@pytest.mark.parametrize(
    ("layer", "reference"),
    [
        (SquareRoot(), lambda x: np.sign(x) * np.sqrt(np.abs(x))),
        (LogSoftplus(), lambda x: np.where(x < -40, x, np.log(np.logaddexp(0, np.maximum(x, -40))))),
        (Clamp(1.5), lambda x: np.clip(x, -1.5, 1.5)),
    ],
    ids=["square_root", "log_softplus", "clamp"],
)
def test_forms_agree_with_numpy_and_keep_nan_visible(layer: Pointwise, reference: object) -> None:
    want = reference(X.astype(np.float64))  # type: ignore[operator]
    for got in (layer(torch.from_numpy(X)).numpy(), on_the_machine(layer, X)):
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=2e-6)
    broken = X.copy()
    broken[7] = np.nan
    for got in (layer(torch.from_numpy(broken)).numpy(), on_the_machine(layer, broken)):
        assert np.flatnonzero(np.isnan(got)).tolist() == [7]


def test_root_makes_the_variance_of_counts_alike() -> None:
    rates = torch.tensor([9.0, 25.0, 100.0, 400.0])
    counts = torch.poisson(rates.expand(40_000, 4), generator=torch.Generator().manual_seed(0))
    assert SquareRoot()(counts).var(0).numpy() == pytest.approx(np.full(4, 0.25), rel=0.15)
    assert counts.var(0).numpy() == pytest.approx(rates.numpy(), rel=0.05)


def test_log_softplus_has_finite_gradients_everywhere() -> None:
    x = torch.from_numpy(X).requires_grad_()
    LogSoftplus()(x).sum().backward()
    assert x.grad is not None and bool(x.grad.isfinite().all())
