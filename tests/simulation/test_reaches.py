import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bmi_decoder.simulation import ReachSettings, ReachStream

BIN_S = 0.001


def _stream(seed: int = 3, bin_s: float = BIN_S, **changes: float) -> ReachStream:
    return ReachStream(ReachSettings(**changes), bin_s, np.random.default_rng(seed))


def _reaches(velocity: np.ndarray) -> list[np.ndarray]:
    """Velocities of each whole reach: the stretches of movement between two rests."""
    moving = np.any(velocity != 0, axis=1)
    edges = np.flatnonzero(np.diff(moving)) + 1
    pieces = np.split(velocity, edges)[1:-1]
    return [piece for piece in pieces if np.any(piece)]


@given(st.lists(st.integers(0, 700), min_size=1, max_size=12), st.integers(0, 2**32))
def test_chunks_do_not_matter(chunks: list[int], seed: int) -> None:
    whole = np.hstack(_stream(seed, 0.004).bins(sum(chunks)))
    stream = _stream(seed, 0.004)
    parts = np.concatenate([np.hstack(stream.bins(n)) for n in chunks])
    assert np.array_equal(whole, parts)


def test_the_profile_is_minimum_jerk() -> None:
    reaches = _reaches(_stream().bins(60_000)[1])
    assert len(reaches) > 40
    for velocity in reaches:
        speed = np.hypot(*velocity.T)
        u = (np.arange(len(speed)) + 0.5) / len(speed)
        assert speed.max() / speed.mean() == pytest.approx(1.875, rel=0.01)
        assert np.abs(speed / speed.max() - 16 * u**2 * (1 - u) ** 2).max() < 0.02
        assert speed[[0, -1]].max() < 0.001 * speed.max()
        direction = velocity[speed > 0] / speed[speed > 0, None]
        assert np.ptp(direction, axis=0).max() < 1e-9, "a reach is straight"


def test_velocity_is_the_derivative_of_position() -> None:
    position, velocity = _stream().bins(20_000)
    assert np.abs((position[2:] - position[:-2]) / (2 * BIN_S) - velocity[1:-1]).max() < 1e-3
    assert np.abs(np.diff(velocity, axis=0) / BIN_S).max() < 20, "acceleration is bounded: no jumps"


def test_durations_follow_fitts_law() -> None:
    settings = ReachSettings()
    for velocity in _reaches(_stream().bins(60_000)[1]):
        distance = np.hypot(*(velocity.sum(axis=0) * BIN_S))
        bits = np.log2(distance / settings.target_width_m + 1)
        expected = settings.duration_offset_s + settings.duration_per_bit_s * bits
        assert len(velocity) * BIN_S == pytest.approx(expected, abs=2 * BIN_S)
        assert distance >= settings.min_distance_m - 1e-6


def test_targets_fill_the_workspace_and_stay_inside() -> None:
    position, _ = _stream().bins(300_000)
    assert np.all(np.abs(position) <= 0.1)
    assert position.min() < -0.095
    assert position.max() > 0.095


def test_pauses_are_within_their_limits() -> None:
    limits = {"hold_min_s": 0.2, "hold_max_s": 0.3, "reaction_min_s": 0.1, "reaction_max_s": 0.4}
    moving = np.any(_stream(**limits).bins(60_000)[1] != 0, axis=1)
    edges = np.flatnonzero(np.diff(moving)) + 1
    pauses = np.array([stop - start for start, stop in zip(edges[1:-1:2], edges[2::2], strict=False)]) * BIN_S
    assert len(pauses) > 30
    assert 0.3 - 2 * BIN_S <= pauses.min() < 0.42
    assert 0.58 < pauses.max() <= 0.7 + 2 * BIN_S


def test_movement_does_not_depend_on_the_bin_width() -> None:
    fine, coarse = _stream(bin_s=0.001).bins(9000)[0], _stream(bin_s=0.003).bins(3000)[0]
    assert np.allclose(fine[1::3], coarse, atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"hold_min_s": 1.0, "hold_max_s": 0.5}, "hold_min_s must not exceed"),
        ({"reaction_min_s": 1.0, "reaction_max_s": 0.5}, "reaction_min_s must not exceed"),
        ({"min_distance_m": 0.11}, "at most half of workspace_m"),
        ({"workspace_m": -1.0}, "greater than 0"),
        ({"workspace": 1.0}, "Extra inputs"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, float], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        ReachSettings(**changes)
