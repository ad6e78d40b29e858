from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest

from services.demo.interrupts import Interrupts

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_the_first_signal_interrupts_and_later_ones_do_nothing(number: signal.Signals) -> None:
    Interrupts()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)
    for again in NUMBERS:
        signal.raise_signal(again)


def test_what_is_half_done_is_finished_first() -> None:
    interrupts = Interrupts()
    steps = []
    with pytest.raises(KeyboardInterrupt), interrupts.held():
        signal.raise_signal(signal.SIGTERM)
        steps.append("finished")
    assert steps == ["finished"]


def test_without_a_signal_nothing_happens() -> None:
    interrupts = Interrupts()
    with interrupts.held():
        pass
    with pytest.raises(ValueError, match="its own error"), interrupts.held():
        raise ValueError("its own error")


def test_an_error_is_not_replaced_by_an_interrupt() -> None:
    interrupts = Interrupts()
    with pytest.raises(ValueError, match="its own error"), interrupts.held():
        signal.raise_signal(signal.SIGTERM)
        raise ValueError("its own error")


def test_one_that_python_has_dropped_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    class Finalised:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    dropped: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", dropped.append)
    interrupts = Interrupts()
    interrupts.check()
    Finalised()
    assert len(dropped) == 1
    with pytest.raises(KeyboardInterrupt):
        interrupts.check()
