"""The arithmetic around the decoders' steps, and that the steppers are the decoders."""

from __future__ import annotations

import argparse

import numpy as np
import pytest

from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.evaluation.cadence import Stepper
from bmi_decoder.machine.builder import Builder
from bmi_decoder.machine.touched import Touched, touched_bytes
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.training.eager_steps import EagerStepper
from bmi_decoder.training.untrained import untrained
from services.bench.bandwidth import Bandwidth
from services.bench.decoders.command import _names
from services.bench.decoders.measure import check_agreement
from services.bench.decoders.offline import bins_per_second
from services.bench.decoders.steps import BoundOnnxStepper, MachineStepper
from services.bench.decoders.summary import summarise


def stepped(stepper: Stepper, counts: np.ndarray) -> np.ndarray:
    outputs = []
    for row in counts:
        stepper.row[:] = row
        stepper.step()
        stepper.rehearse()
        outputs.append(stepper.output())
    return np.array(outputs)


# `kalman` has a state that is not zero at first, two states and more take turns in `lstm`.
@pytest.mark.parametrize("name", ["kalman", "lstm"])
def test_every_stepper_is_the_pipeline(name: str) -> None:
    bundle = untrained(name, 7, 0.05)[1]
    counts = np.random.default_rng(3).poisson(1.0, (30, 7)).astype(np.float32)
    expected = Pipeline(bundle).run(counts)[:, 0]
    for stepper in (MachineStepper(bundle), BoundOnnxStepper(bundle), EagerStepper(bundle)):
        assert np.allclose(stepped(stepper, counts), expected, rtol=1e-4, atol=1e-5), type(stepper).__name__


def test_rows_behind_zeros_are_not_counted() -> None:
    builder = Builder(8)
    x = builder.input()
    builder.output(builder.linear(builder.binarise(x), np.ones((9, 8)), np.zeros(9)))
    program = builder.build()
    x_rows = np.array([[1, 0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0, 0, 0]], np.float32)
    touched = touched_bytes(program, x_rows)
    assert touched.params == (2 * 9 + 9) * 4  # two rows on average, and the bias
    assert touched.params_dense == (8 * 9 + 9) * 4
    assert touched.arena == program.arena_size * 4


def test_runtimes_that_do_other_work_are_not_compared() -> None:
    same = np.ones((4, 2))
    check_agreement({"machine": same, "onnx": same + 1e-5})
    for other in (same + 0.1, same * np.nan):
        with pytest.raises(BmiError, match="onnx and machine differ"):
            check_agreement({"machine": same, "onnx": other})


def test_ratios_and_bounds() -> None:
    times = {
        (name, way): [np.full(5, 1000 * factor), np.full(5, 9000 * factor)]
        for name, factor in (("machine", 1), ("onnx", 2), ("torch", 10))
        for way in ("hot", "cadence")
    }
    times["machine", "rehearsed"] = [np.full(5, 500), np.full(5, 4500)]
    bandwidth = Bandwidth(l2_bytes=4096, memory_bytes=8192, l2=[1e9], memory=[5e8])
    figures = summarise(times, Touched(1000.0, 4000, 100), bandwidth)
    assert figures["times_the_machine"]["onnx"] == {"hot": 2.0, "cadence": 2.0, "rehearsed": 4.0}
    assert figures["times_the_machine"]["torch"]["cadence"] == 10.0
    assert (figures["bound_us"]["l2"], figures["bound_us"]["memory"]) == (1.0, 2.0)
    assert figures["times_the_bound"]["l2"] == figures["runtimes"]["machine"]["hot_us"]["p50"]


def test_without_a_program_there_are_times_only() -> None:
    times = {(name, way): [np.full(5, 1000)] for name in ("onnx", "torch") for way in ("hot", "cadence")}
    assert set(summarise(times, None, Bandwidth(4096, 8192))) == {"runtimes"}


def test_names() -> None:
    assert {"lstm", "snn_streaming"} <= set(_names(None))
    with pytest.raises(InputError, match="there is no decoder 'lstn'; choose from"):
        _names("lstm,lstn")


def test_throughput_is_a_number_of_bins() -> None:
    assert bins_per_second(untrained("wiener", 3, 0.05)[1], at_least_s=0.001) > 1000


def test_every_bench_has_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    from services.bench.command import register

    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    for name in ("latency", "decoders", "filters", "machine"):
        with pytest.raises(SystemExit):
            parser.parse_args(["bench", name, "--help"])
        assert "--json FILE" in capsys.readouterr().out
