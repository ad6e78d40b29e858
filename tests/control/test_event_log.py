from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from bmi_decoder.events import AnyEvent, GapEvent, SessionEvent
from services.control.events.log import EventLog


def publish(log: EventLog, *names: str) -> None:
    for name in names:
        log.publish(SessionEvent(session=name, action="created"))


async def read(log: EventLog, n: int, last_id: str | None = None) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    async for event in log.follow(last_id):
        events.append(event)
        if len(events) == n:
            break
    return events


def names(events: list[AnyEvent]) -> list[str]:
    return [event.session if isinstance(event, SessionEvent) else event.type for event in events]


def run(work: Coroutine[Any, Any, list[AnyEvent]]) -> list[AnyEvent]:
    return asyncio.run(asyncio.wait_for(work, 10))


def test_new_readers_begin_with_what_comes_next() -> None:
    log = EventLog()
    publish(log, "past")

    async def follow() -> list[AnyEvent]:
        reading = asyncio.create_task(read(log, 2))
        await asyncio.sleep(0)
        threading.Thread(target=publish, args=(log, "a", "b")).start()
        return await reading

    assert names(run(follow())) == ["a", "b"]


def test_a_reader_goes_on_behind_the_last_event_that_it_has_seen() -> None:
    log = EventLog()
    publish(log, "a", "b", "c", "d")
    first = run(read(log, 4, _nothing_seen(log)))
    assert names(first) == ["a", "b", "c", "d"]
    assert names(run(read(log, 2, first[1].id))) == ["c", "d"]


def test_a_history_that_does_not_reach_back_says_what_is_missing() -> None:
    log = EventLog(kept=3)
    publish(log, "a")
    seen = _nothing_seen(log)
    publish(log, "b", "c", "d", "e")
    events = run(read(log, 4, seen))
    assert names(events) == ["gap", "c", "d", "e"]
    assert isinstance(events[0], GapEvent) and events[0].missed == 2
    # The gap has an id of its own, from which a reader that stopped there can go on.
    assert names(run(read(log, 3, events[0].id))) == ["c", "d", "e"]


@pytest.mark.parametrize("last_id", ["", "x", "-", "0badcafe-3", "٣-٣", "9" * 60])
def test_ids_of_another_control_plane_are_a_gap_of_unknown_length(last_id: str) -> None:
    log = EventLog()
    publish(log, "a")
    events = run(read(log, 2, last_id))
    assert names(events) == ["gap", "a"]
    assert isinstance(events[0], GapEvent) and events[0].missed is None


def test_an_id_from_the_future_is_not_believed() -> None:
    log = EventLog()
    publish(log, "a")
    epoch = _nothing_seen(log).partition("-")[0]
    assert names(run(read(log, 2, f"{epoch}-7"))) == ["gap", "a"]


def test_a_slow_reader_holds_up_nobody_and_learns_what_it_has_missed() -> None:
    log = EventLog(kept=100)

    async def follow() -> list[AnyEvent]:
        slow = log.follow()
        reading = asyncio.create_task(anext(slow))
        await asyncio.sleep(0)
        publish(log, "first")
        events = [await reading]
        publish(log, *(str(i) for i in range(1000)))
        events += [await anext(slow) for _ in range(2)]
        await slow.aclose()
        return events

    assert names(run(follow())) == ["first", "gap", "900"]


def test_closing_ends_readers_behind_the_last_event() -> None:
    log = EventLog()

    async def follow() -> list[AnyEvent]:
        reading = asyncio.create_task(read(log, 99))
        await asyncio.sleep(0)
        publish(log, "a")
        log.close()
        return await reading

    assert names(run(follow())) == ["a"]


def _nothing_seen(log: EventLog) -> str:
    """The id of the moment before the first event."""
    return log._id(0)
