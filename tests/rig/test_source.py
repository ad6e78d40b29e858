from __future__ import annotations

from itertools import islice

import numpy as np
import numpy.typing as npt
import pytest

from bmi_decoder.recording import Output, Recording
from bmi_decoder.simulation import PopulationSettings, SimulatedSubject, SubjectSettings
from services.rig.source import Block, RecordingSource, SimulatedSource, Source

N_BINS = 150


@pytest.fixture
def recording() -> Recording:
    rng = np.random.default_rng(6)
    return Recording(
        rng.integers(0, 5, (N_BINS, 4), np.uint8),
        rng.standard_normal((N_BINS, 2)),
        (Output("x_velocity", "m/s"), Output("y_velocity", "m/s")),
        0.05,
        t0=17.0,
        channels=("a", "b", "c", "d"),
        source="a test",
    )


def joined(blocks: list[Block]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    ends, counts, kinematics = zip(*blocks, strict=True)
    return np.concatenate(ends), np.concatenate(counts), np.concatenate(kinematics)


def n_blocks(source: Source, n_bins: int) -> list[Block]:
    """Blocks until there are `n_bins` bins."""
    blocks: list[Block] = []
    for block in source.blocks():
        blocks.append(block)
        if sum(len(ends) for ends, _, _ in blocks) >= n_bins:
            return blocks
    return blocks


def test_a_recording_as_it_is(recording: Recording) -> None:
    source = RecordingSource(recording)
    ends, counts, kinematics = joined(list(source.blocks()))
    np.testing.assert_array_equal(counts, recording.counts)
    assert counts.dtype == np.float32
    np.testing.assert_array_equal(kinematics, recording.kinematics)
    np.testing.assert_allclose(ends, 0.05 * np.arange(1, N_BINS + 1), rtol=1e-12)
    assert (source.name, source.bin_s, source.labels) == ("a test", 0.05, ("a", "b", "c", "d"))
    assert source.outputs == recording.outputs


def test_a_loop_has_no_seam(recording: Recording) -> None:
    ends, counts, kinematics = joined(n_blocks(RecordingSource(recording, loop=True), 3 * N_BINS))
    np.testing.assert_allclose(ends, 0.05 * np.arange(1, 3 * N_BINS + 1), rtol=1e-12)
    np.testing.assert_array_equal(counts, np.tile(recording.counts, (3, 1)))
    np.testing.assert_array_equal(kinematics, np.tile(recording.kinematics, (3, 1)))


def test_rows_can_be_pushed_without_a_copy(recording: Recording) -> None:
    for _, counts, kinematics in RecordingSource(recording).blocks():
        assert counts.flags.c_contiguous and kinematics.flags.c_contiguous
        assert kinematics.dtype == np.float64


def test_a_simulated_subject() -> None:
    settings = SubjectSettings(subject_seed=3, seed=4, population=PopulationSettings(n_channels=12))
    source = SimulatedSource(settings)
    ends, counts, kinematics = joined(n_blocks(source, 200))
    expected_counts, expected_kinematics = SimulatedSubject(settings).bins(len(ends))
    np.testing.assert_array_equal(counts, expected_counts)
    np.testing.assert_array_equal(kinematics, expected_kinematics)
    np.testing.assert_allclose(ends, settings.bin_s * np.arange(1, len(ends) + 1), rtol=1e-12)
    assert counts.dtype == np.float32
    assert len(source.labels) == len(set(source.labels)) == 12
    assert source.bin_s == settings.bin_s


def test_playing_again_begins_anew() -> None:
    source = SimulatedSource(SubjectSettings(population=PopulationSettings(n_channels=4)))
    (_, first, _), (_, again, _) = (next(iter(islice(source.blocks(), 1))) for _ in range(2))
    np.testing.assert_array_equal(first, again)
