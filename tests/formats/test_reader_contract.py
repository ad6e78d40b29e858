"""Every registered reader against the public contract, on small and on real files."""

from pathlib import Path

import pytest

from bmi_decoder.formats import FORMATS, Format, check_reader, read_recording

REAL = ["stevenson_m1/stevenson_m1_dev.mat", "mc_maze_trials/trial_748_data.csv"]


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
def test_reader_keeps_the_contract(known: Format, samples: dict[str, Path]) -> None:
    # pynwb takes 0.1 s for a file.
    check_reader(known.read, samples[known.name], n_damaged=60 if known.name == "nwb" else 400)


@pytest.mark.parametrize("name", REAL)
def test_reader_keeps_the_contract_on_real_files(name: str, data_dir: Path) -> None:
    check_reader(read_recording, data_dir / name)
