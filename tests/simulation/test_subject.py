import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmi_decoder.errors import InputError
from bmi_decoder.recording import Output
from bmi_decoder.simulation import PopulationSettings, SimulatedSubject, SubjectSettings, simulate
from bmi_decoder.simulation.subject import BLOCK_BINS

FEW = PopulationSettings(n_channels=7)


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 3 * BLOCK_BINS), min_size=1, max_size=10),
    st.integers(0, 2**63 - 1),
    st.sampled_from(["bernoulli", "poisson"]),
)
def test_chunks_do_not_matter(chunks: list[int], seed: int, spiking: str) -> None:
    few = PopulationSettings.model_validate({"n_channels": 7, "spiking": spiking})
    chosen = SubjectSettings(seed=seed, population=few)
    whole = SimulatedSubject(chosen).bins(sum(chunks))
    subject = SimulatedSubject(chosen)
    parts = [subject.bins(n) for n in chunks]
    assert np.array_equal(whole[0], np.concatenate([counts for counts, _ in parts]))
    assert np.array_equal(whole[1], np.concatenate([kinematics for _, kinematics in parts]))


def test_a_recording_is_the_beginning_of_the_stream() -> None:
    chosen = SubjectSettings(seed=9, population=FEW)
    recording = simulate(chosen, 2.0)
    counts, kinematics = SimulatedSubject(chosen).bins(500)
    assert np.array_equal(recording.counts, counts)
    assert np.array_equal(recording.kinematics, kinematics)
    assert recording.outputs == (Output("x_velocity", "m/s"), Output("y_velocity", "m/s"))
    assert recording.source == "simulated subject 0, seed 9"
    assert (recording.bin_s, recording.n_channels, recording.duration_s) == (0.004, 7, 2.0)


def test_seeds_choose_subject_and_session_apart() -> None:
    def make(subject_seed: int, seed: int) -> SimulatedSubject:
        return SimulatedSubject(SubjectSettings(subject_seed=subject_seed, seed=seed))

    first, again, later, other = make(1, 1), make(1, 1), make(1, 2), make(2, 1)
    assert np.array_equal(first.population.direction, later.population.direction)
    assert not np.array_equal(first.population.direction, other.population.direction)
    (counts, movement), same = first.bins(500), again.bins(500)
    assert np.array_equal(counts, same[0])
    assert np.array_equal(movement, same[1])
    assert not np.array_equal(movement, later.bins(500)[1])
    assert np.array_equal(movement, other.bins(500)[1]), "behaviour belongs to the session, not to the subject"


def test_what_was_returned_does_not_change_later() -> None:
    subject = SimulatedSubject(SubjectSettings(population=FEW))
    counts, kinematics = subject.bins(10)
    before = counts.copy(), kinematics.copy()
    counts[:], kinematics[:] = 200, 5.0
    fresh = SimulatedSubject(SubjectSettings(population=FEW))
    assert np.array_equal(np.concatenate([before[0], subject.bins(90)[0]]), fresh.bins(100)[0])


def test_it_is_much_faster_than_real_time() -> None:
    subject = SimulatedSubject(SubjectSettings())
    subject.bins(1000)
    rates = []
    for _ in range(5):
        start = time.perf_counter()
        subject.bins(5000)
        rates.append(5000 / (time.perf_counter() - start))
    assert max(rates) > 50_000


@pytest.mark.parametrize("seconds", [0.0, 0.001, -1.0, float("nan"), float("inf")])
def test_a_recording_needs_a_bin(seconds: float) -> None:
    with pytest.raises(InputError, match="at least one bin"):
        simulate(SubjectSettings(), seconds)


def test_a_recording_that_would_fill_the_memory_is_refused() -> None:
    with pytest.raises(InputError, match="simulate shorter recordings"):
        simulate(SubjectSettings(), 1e9)


def test_a_negative_number_of_bins_is_refused() -> None:
    with pytest.raises(InputError, match="got -1"):
        SimulatedSubject(SubjectSettings()).bins(-1)
