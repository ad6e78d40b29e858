from __future__ import annotations

import numpy as np
import pytest

from bmi_decoder.config import BlockFilterSettings, InputFilterSettings, OutputFilterSettings
from bmi_decoder.evaluation.r2 import mean_r2, r2_per_output
from bmi_decoder.evaluation.variants import evaluate, valid_bins
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recording import Output
from tests.support import bundle, recording

FILTERS = OutputFilterSettings(
    low_latency=BlockFilterSettings(order=2, cutoff_hz=10, width=12),
    high_accuracy=BlockFilterSettings(order=2, cutoff_hz=10, width=20),
)


@pytest.mark.parametrize(("start", "stop"), [(0, None), (150, None), (100, 250)])
@pytest.mark.parametrize("entry", [None, InputFilterSettings(order=1, cutoff_hz=20, width=40)])
def test_every_variant_is_held_against_the_time_that_it_describes(
    start: int, stop: int | None, entry: InputFilterSettings | None
) -> None:
    pipeline, given = Pipeline(bundle(entry, FILTERS)), recording()
    decoded = pipeline.decode(given)
    figures = evaluate(pipeline, given, start, stop)
    assert list(figures) == ["raw", "low_latency", "high_accuracy"]
    entry_warm_up = 39 if entry else 0
    for v, (name, lookahead, width) in enumerate((("raw", 0, 1), ("low_latency", 0, 12), ("high_accuracy", 10, 20))):
        first = max(start, max(width - 1, entry_warm_up))
        bins = np.arange(first, stop or 400)
        found = figures[name]
        assert found["bins"] == len(bins)
        assert found["lookahead_s"] == pytest.approx(lookahead * 0.004)
        assert found["r2"] == mean_r2(given.kinematics[bins - lookahead], decoded[bins, v])
        assert found["r2_causal"] == mean_r2(given.kinematics[bins], decoded[bins, v])
        per_output = r2_per_output(given.kinematics[bins - lookahead], decoded[bins, v])
        assert found["r2_per_output"] == dict(zip(("x_velocity", "y_velocity"), per_output, strict=True))


def test_the_whole_recording_is_decoded_before_the_judged_part() -> None:
    """As live: the state at the first judged bin is not that of a fresh decoder."""
    pipeline, given = Pipeline(bundle()), recording()
    late = evaluate(pipeline, given, 390)["raw"]["r2"]
    alone = evaluate(pipeline, given.slice(390, 400))["raw"]["r2"]
    assert late != alone


def test_warm_up_is_left_out_in_every_segment() -> None:
    given = recording(segments=((0, 100), (100, 110), (110, 400)))
    assert valid_bins(given, 0, 400, 19).tolist() == [*range(19, 100), *range(129, 400)]
    assert valid_bins(given, 50, 120, 5).tolist() == [*range(50, 100), *range(105, 110), *range(115, 120)]
    figures = evaluate(Pipeline(bundle(output_filters=FILTERS)), given)
    assert figures["high_accuracy"]["bins"] == 81 + 271
    assert figures["raw"]["bins"] == 400


def test_an_output_that_does_not_move_has_no_figure() -> None:
    given = recording(kinematics=np.column_stack([np.arange(400.0), np.zeros(400)]))
    assert given.outputs[1] == Output("y_velocity", "m/s")
    per_output = evaluate(Pipeline(bundle()), given)["raw"]["r2_per_output"]
    assert per_output["y_velocity"] is None
    assert per_output["x_velocity"] is not None
