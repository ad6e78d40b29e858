from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bmi_decoder.errors import InputError
from bmi_decoder.formats import read_trial_csv
from bmi_decoder.recording import Output

Trial = dict[str, list[str]]
WriteCsv = Callable[[Trial], Path]


def test_the_real_trial(data_dir: Path) -> None:
    path = data_dir / "mc_maze_trials" / "trial_748_data.csv"
    recording = read_trial_csv(path)
    reference = np.genfromtxt(path, delimiter=",", names=True)
    units = [name for name in reference.dtype.names if name.startswith("unit_")]
    assert recording.labels == tuple(units)
    assert recording.counts.shape == (3236, 182)
    assert np.array_equal(recording.counts, np.stack([reference[unit] for unit in units], axis=1))
    assert np.array_equal(recording.kinematics[:, 1], reference["hand_vel_y"])
    assert recording.outputs == (Output("x_velocity", "mm/s"), Output("y_velocity", "mm/s"))
    assert (recording.bin_s, recording.t0, recording.spans) == (0.001, 2282.6, ((0, 3236),))


def test_counts_above_one_are_kept(write_csv: WriteCsv, trial: Trial) -> None:
    trial["unit_1011"][3] = "4"
    assert read_trial_csv(write_csv(trial)).counts[3, 0] == 4


def test_a_gap_begins_a_segment(write_csv: WriteCsv, trial: Trial) -> None:
    recording = read_trial_csv(write_csv({name: column[:8] + column[11:] for name, column in trial.items()}))
    assert (recording.bin_s, recording.spans) == (0.001, ((0, 8), (8, 27)))


@pytest.mark.parametrize("start", [0.0, 2282.6, 1.7e9])
def test_rounded_timestamps_do_not_blur_the_bin_width(start: float, write_csv: WriteCsv, trial: Trial) -> None:
    n = 2000
    long = {name: (column * n)[:n] for name, column in trial.items()}
    long["timestamp"] = [repr(start + i * 0.001) for i in range(n)]
    recording = read_trial_csv(write_csv(long))
    assert recording.bin_s == 0.001
    assert len(recording.spans) == 1


def test_order_of_columns_quotes_and_byte_order_mark(write_csv: WriteCsv, trial: Trial) -> None:
    expected = read_trial_csv(write_csv(trial)).fingerprint()
    turned = {f'"{name}"': [f'"{value}"' for value in trial[name]] for name in reversed(trial)}
    turned['"unit_1011"'], turned['"unit_1021"'] = turned.pop('"unit_1011"'), turned.pop('"unit_1021"')
    path = write_csv(turned)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_trial_csv(path).fingerprint() == expected


@pytest.mark.parametrize("column", ["timestamp", "hand_vel_x", "hand_vel_y"])
def test_a_missing_column_is_named(column: str, write_csv: WriteCsv, trial: Trial) -> None:
    del trial[column]
    with pytest.raises(InputError, match=f"trial.csv: column '{column}' is missing"):
        read_trial_csv(write_csv(trial))


def test_a_trial_without_units_is_refused(write_csv: WriteCsv, trial: Trial) -> None:
    with pytest.raises(InputError, match=r"no unit_\* column"):
        read_trial_csv(write_csv({name: column for name, column in trial.items() if "unit" not in name}))


def test_a_double_column_is_refused(write_csv: WriteCsv, trial: Trial) -> None:
    path = write_csv(trial)
    path.write_text(path.read_text().replace("unit_1021", "unit_1011"))
    with pytest.raises(InputError, match="column 'unit_1011' appears 2 times"):
        read_trial_csv(path)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("hand_vel_x", "nan", "kinematics must be finite, got nan at bin 5, column 0"),
        ("hand_vel_y", "", "not a table of numbers"),
        ("unit_1021", "nan", "whole numbers, got nan at bin 5, channel 1"),
        ("unit_1021", "-1", "must not be negative, got -1.0 at bin 5, channel 1"),
        ("unit_1021", "0.5", "whole numbers, got 0.5"),
        ("unit_1021", "spike", "not a table of numbers .*spike"),
        ("timestamp", "nan", "time.*must be finite and increase, got nan after 2282.604 at bin 5"),
        ("timestamp", "2282.6", "got 2282.6 after 2282.604 at bin 5"),
    ],
)
def test_a_bad_value_is_named(column: str, value: str, reason: str, write_csv: WriteCsv, trial: Trial) -> None:
    trial[column][5] = value
    with pytest.raises(InputError, match=f"trial.csv: .*{reason}"):
        read_trial_csv(write_csv(trial))


def test_a_row_that_is_cut_short_is_refused(write_csv: WriteCsv, trial: Trial) -> None:
    path = write_csv(trial)
    path.write_text(path.read_text()[:-6])
    with pytest.raises(InputError, match="not a table of numbers"):
        read_trial_csv(path)


@pytest.mark.parametrize(
    ("rows", "reason"), [(0, "no rows below the header"), (1, "at least two rows, .*got 1|two rows")]
)
def test_too_few_rows_are_refused(rows: int, reason: str, write_csv: WriteCsv, trial: Trial) -> None:
    with pytest.raises(InputError, match=reason):
        read_trial_csv(write_csv({name: column[:rows] for name, column in trial.items()}))


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "trial.csv").write_bytes(b"\xff\xfe\x00time")
    with pytest.raises(InputError, match=r"trial.csv: not a table"):
        read_trial_csv(tmp_path / "trial.csv")
