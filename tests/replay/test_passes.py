"""What of a recording can be decoded again, and how the two are compared; tests/system does it with real workers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bmi_decoder.bundle import read_bundle
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recorded_session import RecordedSession, read_session
from bmi_decoder.wire import Estimate, Flag
from services.replay.again import first_difference
from services.replay.passes import Pass, passes, samples_of
from tests.control.support import write_linear_bundle
from tests.formats.recorded import N_BINS, write_recorded_session

SWITCHED = 300
STATE = {"event": "state", "since_reset": 400, "pending": 0, "state": ""}


@pytest.fixture
def session(tmp_path: Path) -> RecordedSession:
    """Revision 1 from the worker's first bin, revision 2 from `SWITCHED` on."""
    bundle = write_linear_bundle(tmp_path / "linear.bmi")
    return read_session(write_recorded_session(tmp_path, bundle, Pipeline(read_bundle(bundle))))


def spans(planned: list[Pass]) -> list[tuple[int, int, int, int]]:
    return [(one.revision, one.begin, one.compare, one.stop) for one in planned]


def test_a_revision_of_unknown_state_is_left_out(session: RecordedSession) -> None:
    (one,) = passes(session)
    assert spans([one]) == [(1, 0, 0, SWITCHED)]
    assert (one.first_sample, one.state) == (0, None)
    np.testing.assert_array_equal(samples_of(session, one), np.arange(SWITCHED))


def test_behind_a_swap_it_begins_where_the_new_decoder_began_unseen(session: RecordedSession) -> None:
    at = float(session.estimates["t_publish"][SWITCHED - 1]) + 1e-5
    swap = (at, {"event": "swap", "revision": 2, "former": 1, "shadow_bins": 31})
    planned = passes(replace(session, health=(*session.health, swap)))
    assert spans(planned) == [(1, 0, 0, SWITCHED), (2, SWITCHED - 31, SWITCHED, N_BINS)]


def test_a_state_is_gone_on_from(session: RecordedSession) -> None:
    noted = (float(session.estimates["t_publish"][400]), STATE | {"revision": 2, "sequence": 400})
    of_another = (noted[0], STATE | {"revision": 1, "sequence": 350})
    planned = passes(replace(session, states=(of_another, noted)))
    assert spans(planned)[1:] == [(2, 400, 400, N_BINS)]
    assert planned[1].state is noted[1] and planned[1].first_sample == 400


def test_a_filled_bin_is_no_beginning(session: RecordedSession) -> None:
    flags = session.estimates["flags"].copy()
    flags[0] = Flag.HELD
    assert passes(replace(session, estimates=session.estimates | {"flags": flags})) == []


def test_samples_that_were_not_recorded_end_it(session: RecordedSession) -> None:
    short = replace(session.neural, times=session.neural.times[:200], values=session.neural.values[:200])
    (one,) = passes(replace(session, neural=short))
    assert one.stop == 200


def test_what_the_worker_has_not_had_is_not_played(session: RecordedSession) -> None:
    """The recorder had its samples, but the estimates say that they were filled in, or are not there at all."""
    flags = session.estimates["flags"].copy()
    flags[40:43] = Flag.HELD
    gappy = replace(session, estimates=session.estimates | {"flags": flags})
    (one,) = passes(gappy)
    np.testing.assert_array_equal(samples_of(gappy, one), np.r_[0:40, 43:SWITCHED])


def decoded(session: RecordedSession, one: Pass) -> list[Estimate]:
    """What a worker that does the same would publish."""
    again = []
    for row in range(one.begin, one.stop):
        outputs = np.stack([np.asarray(stream.stream.values[row], np.float32) for stream in session.decoded])
        variants = tuple(stream.variant for stream in session.decoded)
        flags, k = Flag(int(session.estimates["flags"][row])), row - one.begin
        again.append(Estimate(k, k, 0.0, 0.0, flags, one.revision, variants, np.zeros(len(variants)), outputs))
    return again


def test_one_bit_is_a_difference(session: RecordedSession) -> None:
    (one,) = passes(session)
    again = decoded(session, one)
    assert first_difference(session, one, again) == ""
    again[70].outputs.view(np.uint32)[0, 1] ^= 1
    assert "estimate 70 of revision 1 (bin 70): raw is" in first_difference(session, one, again)


def test_other_differences(session: RecordedSession) -> None:
    (one,) = passes(session)
    again = decoded(session, one)
    held = [*again[:9], replace(again[9], flags=Flag.HELD | Flag.WARM_UP), *again[10:]]
    assert "estimate 9 of revision 1 (bin 9) has flags 3, recorded were 1" in first_difference(session, one, held)
    assert "estimate 299 of revision 1 (bin 299) did not come" in first_difference(session, one, again[:-1])
    late = [*again[:20], *(replace(estimate, bin_index=estimate.bin_index + 1) for estimate in again[20:])]
    assert "came 21 bins behind the first" in first_difference(session, one, late)
