"""What rigs do wrong."""

from __future__ import annotations

import signal
import time

import pytest

from services.ingest.monitor import LOST_S
from tests.control.support import N_CHANNELS
from tests.faults.conftest import Puppet, Report, StartWatch
from tests.waiting import eventually

_TELLS_GAP_S, _TELLS_LOSS_S = 0.25, 0.25


def test_a_rig_that_is_killed_and_comes_back(watch: StartWatch, puppet: Puppet, report: Report) -> None:
    live, first = watch(), puppet()
    live.watched.wait_good(200)
    killed = time.monotonic()
    first.child.process.kill()
    detected = live.watched.wait_event("lost", since=killed)
    second = puppet()
    recovered = live.watched.good_after(second.first_push)
    live.watched.wait_good(100)
    lost = live.watched.lost(first, second)
    assert detected < _TELLS_LOSS_S
    report(
        "rig killed and started again, same source_id",
        lost,
        recovered,
        (detected, "`lost`"),
        remark="lost are the first of the new rig, until it is found",
    )


def test_a_rig_that_comes_back_as_another(watch: StartWatch, puppet: Puppet, report: Report) -> None:
    live, first = watch(), puppet()
    live.watched.wait_good(200)
    first.child.process.kill()
    wrong = puppet(n_channels=N_CHANNELS + 1)
    detected = live.watched.wait_event("mismatch", since=wrong.first_push)
    n = len(live.watched.estimates)
    wrong.child.process.kill()
    right = puppet()
    recovered = live.watched.good_after(right.first_push)
    live.watched.wait_good(100)
    assert live.watched.estimates[n].t_source >= right.first_push - 0.004
    report(
        "rig comes back with another number of channels, and then as it was",
        live.watched.lost(first, right),
        recovered,
        (detected, "`mismatch`, refused"),
    )


def test_a_rig_that_stalls(watch: StartWatch, puppet: Puppet, report: Report) -> None:
    live, rig = watch(), puppet()
    live.watched.wait_good(200)
    stopped = rig.tell("hold")
    detected = live.watched.wait_event("lost", since=stopped)
    again = rig.tell("skip")
    recovered = live.watched.good_after(again)
    live.watched.wait_good(100)
    assert detected < _TELLS_LOSS_S + LOST_S
    report(
        "rig pushes nothing for a while, its connection stands", live.watched.lost(rig), recovered, (detected, "`lost`")
    )


def test_a_rig_that_hangs(watch: StartWatch, puppet: Puppet, report: Report) -> None:
    live, rig = watch(), puppet()
    live.watched.wait_good(200)
    stopped = time.monotonic()
    rig.child.process.send_signal(signal.SIGSTOP)
    detected = live.watched.wait_event("lost", since=stopped)
    again = time.monotonic()
    rig.child.process.send_signal(signal.SIGCONT)
    recovered = live.watched.good_after(again)
    live.watched.wait_good(200)
    report("rig stopped (SIGSTOP) and continued", live.watched.lost(rig), recovered, (detected, "`lost`"))


def test_a_rig_that_bursts(watch: StartWatch, puppet: Puppet, report: Report) -> None:
    live, rig = watch(), puppet()
    live.watched.wait_good(200)
    stopped = rig.tell("hold")
    detected = live.watched.wait_event("late", "lost", since=stopped)
    eventually(time.monotonic, lambda now: now - stopped > 0.6)
    again = rig.tell("burst")
    recovered = live.watched.good_after(again)
    live.watched.wait_good(300)
    lost = live.watched.lost(rig)
    assert lost == 0
    report("rig holds 0.6 s of samples back and pushes them at once", lost, recovered, (detected, "`late`"))


@pytest.mark.parametrize(
    ("offset_s", "words"), [(200_000, "200,000 s ahead"), (-200_000, "200,000 s back"), (-0.5, "0.5 s back")]
)
def test_stamps_that_jump(offset_s: float, words: str, watch: StartWatch, puppet: Puppet, report: Report) -> None:
    live, rig = watch(), puppet()
    live.watched.wait_good(200)
    jumped = rig.tell(f"offset {offset_s}")
    detected = live.watched.wait_event("clock_jump", since=jumped)
    recovered = live.watched.good_after(jumped)
    live.watched.wait_good(300)
    report(f"stamps jump {words}", live.watched.lost(rig), recovered, (detected, "`clock_jump`"))


@pytest.mark.parametrize(
    ("command", "back", "words"), [("freeze", "thaw", "stand still"), ("offset nan", "offset 0", "are no numbers")]
)
def test_stamps_that_are_of_no_use(
    command: str, back: str, words: str, watch: StartWatch, puppet: Puppet, report: Report
) -> None:
    live, rig = watch(), puppet()
    live.watched.wait_good(200)
    began = rig.tell(command)
    detected = live.watched.wait_event("lost", since=began)
    beats = live.watched.heartbeats
    eventually(lambda: live.watched.heartbeats, lambda now: now > beats + 1)
    again = rig.tell(back)
    recovered = live.watched.good_after(again)
    live.watched.wait_good(200)
    assert detected < _TELLS_LOSS_S + LOST_S
    between = (rig.pushed[:, 1] > began) & (rig.pushed[:, 1] < again)
    report(f"stamps {words}", int(between.sum()), recovered, (detected, "`lost`"), remark="heartbeats go on")


def test_a_clock_that_drifts(watch: StartWatch, puppet: Puppet, report: Report) -> None:
    live, rig = watch(), puppet()
    live.watched.wait_good(200)
    rig.tell("drift 200")
    n = len(live.watched.events)
    live.watched.wait_good(2000)
    lost = live.watched.lost(rig)
    assert (
        lost == 0
        and [one["event"] for one in live.watched.events[n:] if one["event"] not in ("late", "recovered")] == []
    )
    report("rig's clock runs 200 ppm too fast for 8 s", lost, None, remark="nothing is lost or said: no gap, no jump")


def test_samples_that_come_twice_or_in_the_wrong_order(watch: StartWatch, puppet: Puppet, report: Report) -> None:
    live, rig = watch(), puppet()
    live.watched.wait_good(200)
    doubled = rig.tell("again")
    detected = live.watched.wait_event("duplicate", since=doubled)
    live.watched.wait_good(50)
    assert live.watched.lost(rig) == 0
    report("a sample pushed twice", 0, live.watched.good_after(doubled), (detected, "`duplicate`"))
    swapped = rig.tell("swapped")
    detected = live.watched.wait_event("gap", since=swapped)
    live.watched.wait_good(100)
    lost = live.watched.lost(rig)
    assert lost == 1
    report(
        "two samples in the wrong order",
        lost,
        live.watched.good_after(swapped),
        (detected, "`gap`, `duplicate`"),
        remark="the first of the two is filled, and dropped when it comes",
    )


@pytest.mark.parametrize("value", ["nan", "inf", "1e38"])
def test_values_that_are_none(value: str, watch: StartWatch, puppet: Puppet, report: Report) -> None:
    live, rig = watch(), puppet()
    live.watched.wait_good(200)
    spoilt = rig.tell(f"value {value} 5")
    event = "invalid_output" if value == "1e38" else "invalid_input"
    detected = live.watched.wait_event(event, since=spoilt)
    gone = float(rig.pushed[-1, 1]) if len(rig.pushed) else spoilt
    live.watched.wait_good(100)
    lost = live.watched.lost(rig)
    assert lost == 5
    report(
        f"five samples of {value}",
        lost,
        live.watched.good_after(gone),
        (detected, f"`{event}`"),
        remark="flagged `INVALID`",
    )
