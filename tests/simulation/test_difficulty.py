"""The simulated task is neither trivial nor hopeless: a linear decoder reaches a known R2."""

import numpy as np
import pytest
from scipy.signal import lfilter

from bmi_decoder.recording import Recording
from bmi_decoder.simulation import SubjectSettings, simulate

TAUS_S = (0.04, 0.08, 0.16, 0.32)


def _smoothed(recording: Recording) -> np.ndarray:
    """Counts of every channel, exponentially smoothed with each time constant."""
    decays = [np.exp(-recording.bin_s / tau) for tau in TAUS_S]
    counts = recording.counts.astype(np.float32)
    return np.hstack([lfilter([1 - a], [1, -a], counts, axis=0) for a in decays]).astype(np.float32)


def _ridge_r2(subject_seed: int) -> float:
    train = simulate(SubjectSettings(subject_seed=subject_seed, seed=1), 480.0)
    test = simulate(SubjectSettings(subject_seed=subject_seed, seed=2), 120.0)
    x = _smoothed(train)
    mean, scale, offset = x.mean(axis=0), x.std(axis=0) + 1e-9, train.kinematics.mean(axis=0)
    x = (x - mean) / scale
    gram = (x.T @ x).astype(np.float64) + 1e-3 * len(x) * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, x.T @ (train.kinematics - offset))
    predicted = (_smoothed(test) - mean) / scale @ weights + offset
    error = ((test.kinematics - predicted) ** 2).sum(axis=0)
    spread = ((test.kinematics - test.kinematics.mean(axis=0)) ** 2).sum(axis=0)
    return float(np.mean(1 - error / spread))


@pytest.mark.parametrize("subject_seed", [1, 2, 3])
def test_ridge_on_another_session_of_the_subject(subject_seed: int) -> None:
    assert 0.59 < _ridge_r2(subject_seed) < 0.67
