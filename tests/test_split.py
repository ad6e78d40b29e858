"""Parts of a recording by whole reaches, from the file to the manifest and back."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bmi_decoder.bundle import read_bundle
from bmi_decoder.cli import main
from bmi_decoder.config import SplitSettings
from bmi_decoder.errors import InputError
from bmi_decoder.formats import read_npz, read_odoherty, read_reaches, read_recording, rebin, write_npz
from bmi_decoder.recording import Output, Recording
from bmi_decoder.simulation import PopulationSettings, SubjectSettings, simulate, write_odoherty
from bmi_decoder.split import split_bounds

HALF = SplitSettings(by="reaches", train=0.5, validation=0.25, test=0.25)
QUICK = ("--decoder", "lstm", "--set", "epochs=1", "--set", "hidden=4")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty seconds of the simulated subject in the O'Doherty layout."""
    path = tmp_path_factory.mktemp("split") / "session.mat"
    write_odoherty(SubjectSettings(seed=3, population=PopulationSettings(n_channels=8)), 20.0, path)
    return path


def expected(reaches: tuple[tuple[int, int], ...], share: float) -> tuple[int, int]:
    """By NeuroBench's rule, from the starts of the reaches alone."""
    n_train = int(np.floor(share * len(reaches)))
    return reaches[n_train][0], reaches[n_train + int(np.floor((len(reaches) - n_train) / 2))][0]


@pytest.mark.parametrize("share", [0.5, 0.6, 0.8])
def test_parts_begin_where_reaches_do(session: Path, share: float) -> None:
    recording, reaches = read_odoherty(session), read_reaches(session)
    assert recording.reaches == reaches and len(reaches) > 10
    rest = (1 - share) / 2
    split = SplitSettings(by="reaches", train=share, validation=rest, test=rest)
    assert split_bounds(recording, split) == expected(reaches, share)
    assert split_bounds(recording, SplitSettings()) == (3500, 4000)


def test_reaches_survive_our_own_file_and_cuts(session: Path, tmp_path: Path) -> None:
    recording = read_odoherty(session)
    write_npz(recording, tmp_path / "r.npz")
    again = read_npz(tmp_path / "r.npz")
    assert again.reaches == recording.reaches
    assert again.fingerprint() == recording.fingerprint()
    arrays = dict(np.load(tmp_path / "r.npz"))
    np.savez(tmp_path / "wrong.npz", **{**arrays, "reaches": np.arange(3)})
    with pytest.raises(InputError, match=r"reaches must be \(reaches, 2\) integers, got int64 of shape \(3,\)"):
        read_npz(tmp_path / "wrong.npz")
    assert recording.reaches is not None
    (_, first), (_, second) = recording.reaches[1:3]
    assert recording.slice(first - 3, second + 2).reaches == ((0, 3), (3, second - first + 3), (second - first + 3,
                                                               second - first + 5))  # fmt: skip


def test_wider_bins_belong_to_the_reach_that_follows() -> None:
    def recording(reaches: tuple[tuple[int, int], ...]) -> Recording:
        kinematics = np.arange(23.0)[:, None]
        return Recording(
            np.ones((23, 1), int), kinematics, (Output("x", "m"),), 0.01, segments=((0, 11), (11, 13), (13, 23)),
            reaches=reaches,
        )  # fmt: skip

    # Bins of three: 0-3, 3-6, 6-9, then 9 and 10 are left over; 11 and 12 fill none; 13-16, 16-19, 19-22.
    for border, joined in (
        (3, 1),
        (4, 1),
        (5, 1),
        (6, 2),
        (10, 3),
        (11, 3),
        (12, 3),
        (13, 3),
        (15, 3),
        (16, 4),
        (22, 6),
    ):
        assert rebin(recording(((0, border), (border, 23))), 0.03).reaches == ((0, joined), (joined, 6)), border
    assert rebin(recording(((0, 4), (4, 5), (5, 23))), 0.03).reaches == ((0, 1), (1, 1), (1, 6))


def test_reaches_that_do_not_tile_are_refused() -> None:
    for reaches in ((), ((0, 5),), ((0, 6), (4, 10)), ((0, 4), (5, 10)), ((0, 12), (12, 10))):
        with pytest.raises(InputError, match="must tile 0:10 in order"):
            Recording(np.ones((10, 1), int), np.ones((10, 1)), (Output("x", "m"),), 0.01, reaches=reaches)


def test_what_cannot_be_split_by_reaches_says_so(session: Path) -> None:
    with pytest.raises(InputError, match=r"simulated subject 0, seed 0 has no reaches: split it by time"):
        split_bounds(simulate(SubjectSettings(), 4.0), HALF)
    short = read_odoherty(session).slice(0, 500)
    with pytest.raises(InputError, match=r"500 bins in \d reaches; each part of the split needs 64 at least"):
        split_bounds(short, SplitSettings(by="reaches", train=0.9, validation=0.05, test=0.05))
    with pytest.raises(ValueError, match="validation and test must be equal"):
        SplitSettings(by="reaches", train=0.5, validation=0.3, test=0.2)


def test_train_and_evaluate_use_the_same_reaches(session: Path, tmp_path: Path) -> None:
    bundle, figures = tmp_path / "b.bmi", tmp_path / "f.json"
    assert main(["train", str(session), "--out", str(bundle), *QUICK, "--split", "reaches:0.6"]) == 0
    training = read_bundle(bundle).manifest.training
    bounds = expected(read_reaches(session), 0.6)
    assert (training.split_by, training.bounds) == ("reaches", bounds)
    assert training.split == pytest.approx((0.6, 0.2, 0.2))
    assert main(["evaluate", str(bundle), str(session), "--json", str(figures)]) == 0
    told = json.loads(figures.read_text())
    assert told["trained_on_this_recording"] and told["start_bin"] == bounds[1]
    assert told["variants"] == read_bundle(bundle).manifest.metrics["test"]
    assert told["variants"]["raw"]["bins"] == read_odoherty(session).n_bins - bounds[1]


def test_wider_bins_are_split_at_the_same_reaches(session: Path, tmp_path: Path) -> None:
    arguments = ["train", str(session), "--out", str(tmp_path / "b.bmi"), *QUICK, "--split", "reaches", "--bin-ms", "8"]
    assert main(arguments) == 0
    bounds = read_bundle(tmp_path / "b.bmi").manifest.training.bounds
    assert bounds == tuple(start // 2 for start in expected(read_reaches(session), 0.5))


def test_compare_hands_the_split_on(session: Path, tmp_path: Path) -> None:
    arguments = ["compare", str(session), "--decoders", "lstm", "--seeds", "1", "--work", str(tmp_path)]
    settings = ["--set", "epochs=1", "--set", "lstm.hidden=4", "--split", "reaches"]
    assert main([*arguments, *settings]) == 0
    bundles = list(tmp_path.glob("*.bmi"))
    assert len(bundles) == 1
    training = read_bundle(bundles[0]).manifest.training
    assert (training.split_by, training.bounds) == ("reaches", expected(read_reaches(session), 0.5))
    assert main([*arguments, *settings[:-1], "0.5,0.25,0.25"]) == 0
    assert len(list(tmp_path.glob("*.bmi"))) == 2, "another split is another run"


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("reaches:1.5", "--split reaches:1.5: train: Input should be less than 1"),
        ("reaches:half", "--split reaches:half: train: Input should be a valid number"),
        ("reaches:0.5,0.5", "--split reaches:0.5,0.5: train"),
        ("reach", "--split needs three parts such as 0.7,0.1,0.2, or reaches:0.5, got 'reach'"),
    ],
)
def test_a_split_that_is_none(
    split: str, message: str, session: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(session), "--out", str(tmp_path / "b.bmi"), *QUICK, "--split", split]) != 0
    assert message in capsys.readouterr().err


def test_reaches_tile_in_wide_bins_too(session: Path) -> None:
    wide = read_recording(session, 0.048)
    assert wide.reaches is not None
    assert all(first[1] == second[0] for first, second in pairwise(wide.reaches))
    assert wide.reaches[-1][1] == wide.n_bins
