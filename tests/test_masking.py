"""A masked channel is the constant in its place, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bmi_decoder.bundle import Bundle
from bmi_decoder.errors import InputError
from bmi_decoder.machine.builder import Builder
from bmi_decoder.masking import neutral_counts
from bmi_decoder.pipeline import Pipeline
from tests.support import N_CHANNELS, bundle, training_info
from tests.test_pipeline import ALL, COUNTS

MEANS = (0.31, 1.7, 0.0)


def with_means(make: Any, entry: Any = None, filters: Any = None, **changes: Any) -> Bundle:
    made: Bundle = make(entry, filters, **changes)
    known = made.manifest.model_copy(update={"training": training_info(channel_means=MEANS)})
    return Bundle(known, made.program, made.weights, made.onnx)


def binarising(**changes: Any) -> Bundle:
    builder = Builder(N_CHANNELS)
    builder.output(builder.linear(builder.binarise(builder.input()), np.ones((2, N_CHANNELS))))
    return with_means(bundle, program=builder.build())


@pytest.mark.parametrize(("make", "entry", "filters"), ALL)
@pytest.mark.parametrize("masked", [(0,), (1,), (0, 2), (2, 0)])
def test_a_masked_channel_is_its_mean_and_whatever_comes_makes_no_difference(
    make: Any, entry: Any, filters: Any, masked: tuple[int, ...]
) -> None:
    made = with_means(make, entry, filters)
    constant = COUNTS.astype(np.float32)
    constant[:, masked] = np.float32(MEANS)[list(masked)]
    broken = COUNTS.astype(np.float32)
    broken[:, masked[0]] = np.resize([np.nan, np.inf, -np.inf, 3e38], len(COUNTS))
    want = Pipeline(made).run(constant)
    for given in (COUNTS, constant, broken):
        np.testing.assert_array_equal(Pipeline(made, None, masked).run(given), want)


@pytest.mark.parametrize(("make", "entry", "filters"), ALL)
def test_the_state_is_that_of_a_pipeline_without_a_mask(make: Any, entry: Any, filters: Any) -> None:
    """So that a copy of the state can be loaded, whatever is masked."""
    made = with_means(make, entry, filters)
    masked, plain = Pipeline(made, None, (1,)), Pipeline(made)
    constant = COUNTS.astype(np.float32)
    constant[:, 1] = np.float32(MEANS[1])
    plain.run(COUNTS[:150])
    masked.engine.load_state(plain.engine.state())
    np.testing.assert_array_equal(masked.run(COUNTS[150:]), plain.run(constant[150:]))
    np.testing.assert_array_equal(masked.engine.state(), plain.engine.state())


@pytest.mark.parametrize(("make", "entry", "filters"), ALL)
def test_rehearsing_with_a_mask_leaves_no_trace(make: Any, entry: Any, filters: Any) -> None:
    made = with_means(make, entry, filters)
    want, live = Pipeline(made, None, (0, 1)).run(COUNTS), Pipeline(made, None, (0, 1))
    x, y = live.engine.rows()
    for row, decoded in zip(COUNTS, want, strict=True):
        live.engine.rehearse()
        x[0] = row
        live.engine.run_into(x, y)
        np.testing.assert_array_equal(y[0], decoded.ravel())


def test_without_a_mask_the_program_is_what_it_was() -> None:
    plain, masked = Pipeline(bundle()), Pipeline(bundle(), None, ())
    assert np.array_equal(plain.engine.program.instructions, masked.engine.program.instructions)  # type: ignore[attr-defined]
    assert not masked.masked.any() and Pipeline(bundle(), None, (2,)).masked.tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("made", "counts"),
    [
        (bundle(), [0, 0, 0]),
        (with_means(bundle), MEANS),
        (binarising(), [0, 1, 0]),
    ],
    ids=["no means", "means", "active or not"],
)
def test_neutral_counts(made: Bundle, counts: list[float]) -> None:
    assert neutral_counts(made).tolist() == np.float32(counts).tolist()


@pytest.mark.parametrize(
    ("masked", "message"),
    [
        ((1, 3), "channel 3 cannot be masked: the decoder has 3 channels, 0 to 2"),
        ((-1,), "channel -1 cannot be masked"),
        ((0, 1, 2), "all 3 channels are masked"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(masked: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Pipeline(bundle(), None, masked)
