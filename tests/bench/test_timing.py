"""What the benches share: the loop that times calls, percentiles, bandwidth and options."""

from __future__ import annotations

import argparse
import gc
import io
import json

import numpy as np
import pytest

from bmi_decoder.errors import InputError
from bmi_decoder.evaluation.cadence import N_CHECKED, probe_counts, serve, time_calls
from services.bench.arguments import positive, whole_numbers
from services.bench.bandwidth import Bandwidth
from services.bench.percentiles import median_and_tail, median_ratio, microseconds


class Counter:
    """A stepper that only notes what it is asked."""

    def __init__(self) -> None:
        self.row = np.zeros(3, np.float32)
        self.said: list[str] = []

    def step(self) -> None:
        self.said.append("step")

    def rehearse(self) -> None:
        self.said.append("rehearse")

    def output(self) -> np.ndarray:
        return self.row[:2].copy()


def test_each_call_is_prepared_and_followed() -> None:
    said: list[str] = []
    took = time_calls(
        lambda: said.append("call"),
        5,
        1e-6,
        prepare=lambda k: said.append("prepare"),
        between=lambda: said.append("between"),
        rehearse=lambda: said.append("rehearse"),
    )
    assert took.shape == (5,) and (took >= 0).all()
    assert said == ["between", "rehearse", "prepare", "call"] * (len(said) // 4)
    assert len(said) >= 20
    assert gc.isenabled()


def test_back_to_back_nothing_comes_between() -> None:
    said: list[str] = []
    time_calls(
        lambda: said.append("call"), 5, between=lambda: said.append("between"), rehearse=lambda: said.append("x")
    )
    assert set(said) == {"call"}


def test_a_stepping_process_shows_outputs_and_answers_orders(capsys: pytest.CaptureFixture[str]) -> None:
    stepper, counts = Counter(), probe_counts(3, 0.05)
    orders = [{"n": 4, "period_s": period, "walk_bytes": 64, "rehearse": bool(period)} for period in (0.0, 1e-6)]
    serve(stepper, counts, io.StringIO("".join(json.dumps(order) + "\n" for order in orders)))
    outputs, hot, cadence = map(json.loads, capsys.readouterr().out.splitlines())
    assert np.array_equal(outputs, counts[:N_CHECKED, :2])
    assert len(hot) == len(cadence) == 4
    steps = stepper.said.count("step") - N_CHECKED
    assert stepper.said.count("rehearse") == steps / 2


def test_percentiles_are_over_all_rounds_and_ratios_within_one() -> None:
    slow, fast = [np.array([2000, 4000]), np.array([20000, 40000])], [np.array([1000]), np.array([10000])]
    figures = microseconds(slow)
    assert figures["max"] == 40.0
    assert figures["p50"] == 12.0
    assert median_ratio(slow, fast) == 3.0
    assert median_and_tail({"hot_us": figures}, "hot") == f"12.00 / {figures['p99']:.2f}"
    assert median_and_tail({}, "hot") == "-"


def test_bandwidth_turns_bytes_into_the_least_time() -> None:
    bandwidth = Bandwidth(l2_bytes=4096, memory_bytes=8192, l2=[3e9, 1e9, 2e9], memory=[1e9])
    assert bandwidth.l2_us(2000) == pytest.approx(1.0)
    assert bandwidth.memory_us(2000) == pytest.approx(2.0)
    bandwidth.measure()
    assert bandwidth.summary()["measurements"] == 4
    assert min(*bandwidth.l2, *bandwidth.memory) > 0
    assert bandwidth.hot_us(100_000) > bandwidth.hot_us(1000) > 0


@pytest.mark.parametrize("text", ["0", "-3", "x", "nan", "inf"])
def test_what_is_not_above_zero(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="above 0"):
        positive(float)(text)
    assert positive(int)("7") == 7


@pytest.mark.parametrize("text", ["", "2,x", "2,0", "2.5"])
def test_whole_numbers_between_commas(text: str) -> None:
    with pytest.raises(InputError, match="--channels has whole numbers of 1 or more"):
        whole_numbers("--channels", text, 1)
    assert whole_numbers("--channels", "2,96", 1) == [2, 96]
