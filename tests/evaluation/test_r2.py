from __future__ import annotations

import numpy as np
import pytest

from bmi_decoder.evaluation.r2 import mean_r2, r2_per_output

RNG = np.random.default_rng(0)
TRUTH = RNG.standard_normal((500, 3)) * [1, 10, 0.1] + [0, 5, -3]
ESTIMATE = TRUTH + RNG.standard_normal((500, 3)) * [0.5, 1, 0.01]


def test_is_one_minus_the_unexplained_share_of_the_variance() -> None:
    want = 1 - ((TRUTH - ESTIMATE) ** 2).mean(0) / TRUTH.var(0)
    np.testing.assert_allclose(r2_per_output(TRUTH, ESTIMATE), want)
    assert mean_r2(TRUTH, ESTIMATE) == pytest.approx(want.mean())


def test_landmarks() -> None:
    assert mean_r2(TRUTH, TRUTH) == 1
    assert mean_r2(TRUTH, np.broadcast_to(TRUTH.mean(0), TRUTH.shape)) == pytest.approx(0)
    assert mean_r2(TRUTH, -TRUTH) < -1


def test_a_column_that_does_not_move_has_no_r2_and_no_vote() -> None:
    truth = TRUTH.copy()
    truth[:, 1] = 7.0
    values = r2_per_output(truth, ESTIMATE)
    assert np.isnan(values).tolist() == [False, True, False]
    assert mean_r2(truth, ESTIMATE) == pytest.approx(values[[0, 2]].mean())
    assert np.isnan(mean_r2(np.ones((5, 2)), np.ones((5, 2))))


def test_float32_estimates_are_judged_in_double() -> None:
    shifted = TRUTH + 1e4
    assert mean_r2(shifted, shifted.astype(np.float32)) > 0.999
