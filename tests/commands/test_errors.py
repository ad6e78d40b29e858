"""Whatever is wrong: one line on standard error with what to do, the right status, and nothing on standard output."""

from __future__ import annotations

from pathlib import Path

import pytest

from bmi_decoder.cli import main
from tests.commands.conftest import FEW_STEPS, Files

TRAIN = ["train", "recording.npz", "--decoder", "lstm", "--out", "new.bmi"]
SPIKING = ["train", "recording.npz", "--decoder", "snn_streaming", "--out", "new.bmi"]
SUBSCRIBE = ["subscribe", "tcp://127.0.0.1:1", "--timeout", "0.05"]

BAD_USAGE = [
    ([], "arguments are required: COMMAND"),
    (["trian"], "invalid choice: 'trian'"),
    (["--nope"], "COMMAND"),
    (["train"], "arguments are required: RECORDING, --decoder, --out"),
    ([*TRAIN, "--seed", "x"], "--seed: invalid int value: 'x'"),
    ([*TRAIN, "--learning-rate", "3"], "unrecognized arguments"),
    (["decode", "lstm.bmi", "recording.npz"], "required: --out"),
    (["decoders", "lstm"], "unrecognized arguments: lstm"),
    (["subscribe"], "required: ENDPOINT"),
    ([*SUBSCRIBE, "--topic", "NEWS"], "--topic: invalid choice: 'NEWS'"),
    ([*SUBSCRIBE, "--timeout", "nan"], "must be a number of seconds above 0, got 'nan'"),
    ([*SUBSCRIBE, "--timeout", "-1"], "must be a number of seconds above 0"),
    ([*SUBSCRIBE, "--timeout", "soon"], "must be a number of seconds above 0"),
]
BAD_INPUT = [
    (["train", "recording.npz", "--decoder", "lsmt", "--out", "new.bmi"], "there is no decoder 'lsmt'; choose one of"),
    (["train", "gone.npz", *TRAIN[2:]], "gone.npz: there is no such file; check the path"),
    (["train", "notes.txt", *TRAIN[2:]], "notes.txt: unknown recording format; known are .npz"),
    (["train", "junk.bmi", *TRAIN[2:]], "junk.bmi"),
    (["train", "a_folder", *TRAIN[2:]], "a_folder"),
    ([*TRAIN, "--preset", "worst"], "has no preset 'worst'; choose one of"),
    ([*TRAIN, "--split", "0.7,0.3"], "such as 0.7,0.1,0.2, or reaches:0.5, got '0.7,0.3'"),
    ([*TRAIN, "--split", "a,b,c"], "--split a,b,c: train: Input should be a valid number"),
    ([*TRAIN, "--split", "0.5,0.4,0.3"], "the three parts must sum to 1"),
    ([*TRAIN, "--split", "nan,0.1,0.2"], "--split nan,0.1,0.2: train"),
    ([*TRAIN, "--set", "epochs"], "expected key=value, got 'epochs'"),
    ([*TRAIN, "--set", "=3"], "expected key=value, got '=3'"),
    ([*TRAIN, "--set", "hiden=3"], "unexpected keyword argument 'hiden'; see 'bmi-decoder decoders'"),
    ([*TRAIN, "--set", "epochs=many"], "training setting epochs is 'many'"),
    ([*TRAIN, "--set", "epochs=0"], "training setting epochs is 0: Input should be greater than or equal to 1"),
    ([*TRAIN, "--set", "learning_rate=1e400"], "training setting learning_rate is inf"),
    ([*TRAIN, "--set", "hidden=0"], "hidden_size must be greater than zero"),
    ([*TRAIN, "--set", "hidden=true"], "hidden is True: Input should be a valid integer"),
    ([*TRAIN, "--set", "hidden=2.5"], "hidden is 2.5: Input should be a valid integer"),
    ([*TRAIN, "--set", "hidden=[1]"], "hidden is [1]: Input should be a valid integer"),
    ([*TRAIN, "--set", "n_channels=3"], "n_channels"),
    ([*TRAIN, "--set", "boxcar=0"], "boxcar must be at least 1 bin"),
    ([*TRAIN, "--set", "dropout=1.5"], "dropout probability has to be between 0 and 1"),
    ([*SPIKING, "--set", "hidden1=0"], "a dense layer needs inputs and outputs"),
    ([*SPIKING, "--set", "per_neuron=often"], "per_neuron is 'often': Input should be a valid boolean"),
    ([*SPIKING, "--set", "graded_step=0.1"], "must be a power of two"),
    ([*TRAIN, "--input-filter", "lowlatency"], "--input-filter lowlatency: variant: Input should be 'low_latency' or"),
    ([*TRAIN, "--input-filter", "low_latency:cutoff"], "expected key=value, got 'cutoff'"),
    (
        [*TRAIN, "--input-filter", "low_latency:widht=8"],
        "widht: Extra inputs are not permitted; it has order, cutoff_hz",
    ),
    ([*TRAIN, "--input-filter", "low_latency:cutoff_hz=-1"], "cutoff_hz: Input should be greater than 0"),
    ([*TRAIN, "--input-filter", "low_latency:cutoff_hz=200"], "cutoff_hz must be below rate_hz / 2 = 125"),
    ([*TRAIN, "--seed", "-1"], "seed must be 0 to 2**63 - 1, got -1"),
    ([*TRAIN, "--pretrain-on", "gone.npz"], "gone.npz: there is no such file"),
    ([*TRAIN, "--pretrain-on", "recording.npz"], "holds the same data as simulated subject 0, seed 0"),
    ([*TRAIN, "--pretrain-set", "epochs=2"], "need sessions to pretrain on: name them with --pretrain-on"),
    ([*TRAIN, "--pretrain-on", "recording.npz", "--fine-tune-rate", "2"], "fine-tuning rate must be above 0 and at"),
    ([*TRAIN, "--bin-ms", "5"], "give an integer multiple"),
    ([*TRAIN, "--bin-ms", "nan"], "give an integer multiple"),
    ([*TRAIN, "--bin-ms", "200"], "each part of the split needs 64 at least"),
    (["simulate", "new.npz", "--seconds", "0"], "must last at least one bin"),
    (["simulate", "new.npz", "--seconds", "nan"], "must last at least one bin"),
    (["simulate", "new.npz", "--channels", "0"], "n_channels: Input should be greater than or equal to 1"),
    (["simulate", "new.npz", "--bin-ms", "0"], "bin_s: Input should be greater than 0"),
    (["simulate", "new.npz", "--seed", "-3"], "seed: Input should be greater than or equal to 0"),
    (["evaluate", "gone.bmi", "recording.npz"], "cannot read bundle gone.bmi: No such file or directory"),
    (["evaluate", "junk.bmi", "recording.npz"], "junk.bmi is not a complete zip file"),
    (["evaluate", "recording.npz", "recording.npz"], "has members that no bundle has"),
    (["evaluate", "lstm.bmi", "gone.npz"], "gone.npz: there is no such file"),
    (["decode", "junk.bmi", "recording.npz", "--out", "new.npz"], "junk.bmi is not a complete zip file"),
    (["decode", "lstm.bmi", "lstm.bmi", "--out", "new.npz"], "lstm.bmi"),
]
FAILS = [
    ([*TRAIN[:-1], "a_folder"], "cannot write a_folder: it is a folder"),
    ([*TRAIN[:-1], "notes.txt/new.bmi"], "cannot write notes.txt/new.bmi: "),
    ([*TRAIN, "--json", "gone/new.json"], "cannot write gone/new.json: "),
    ([*TRAIN, "--json", "a_folder"], "cannot write a_folder: it is a folder"),
    ([*TRAIN, "--set", "learning_rate=1e30", "--set", "warm_up=0"], "lower the learning rate, for example --set "),
    (["evaluate", "lstm.bmi", "recording.npz", "--json", "gone/new.json"], "cannot write gone/new.json: No such file"),
    (["decode", "lstm.bmi", "recording.npz", "--out", "gone/new.npz"], "cannot write gone/new.npz: No such file"),
    (["decode", "lstm.bmi", "recording.npz", "--out", "a_folder"], "cannot write a_folder: Is a directory"),
    (["decoders", "--json", "gone/new.json"], "cannot write gone/new.json: No such file or directory"),
    ([*SUBSCRIBE, "--json", "gone/new.json"], "cannot write gone/new.json: No such file or directory"),
    (SUBSCRIBE, "nothing came from tcp://127.0.0.1:1 in 0.05 s, not even a heartbeat: is the session running?"),
    (["subscribe", "nowhere"], "cannot subscribe to 'nowhere'"),
]


@pytest.fixture
def here(files: Files, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files' folder as the working directory; no test may leave anything in it."""
    monkeypatch.chdir(files.folder)
    return files.folder


@pytest.mark.parametrize(("arguments", "message"), BAD_USAGE)
def test_bad_usage(arguments: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(here.iterdir())
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.startswith("bmi-decoder")
    assert err.count("\n") == 1
    assert "--help" in err
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize(
    ("status", "arguments", "message"), [(2, *case) for case in BAD_INPUT] + [(1, *case) for case in FAILS]
)
def test_bad_input_and_failures(
    status: int, arguments: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(here.iterdir())
    if status == 1 and arguments[0] == "train":
        arguments = [*arguments, *FEW_STEPS]
    assert main(arguments) == status
    out, err = capsys.readouterr()
    assert out == "" or (arguments[0] in ("evaluate", "decoders") and "--json" in arguments)
    assert message in err
    assert err.startswith(f"bmi-decoder {arguments[0]}: ")
    assert err.count("\n") == 1
    assert sorted(here.iterdir()) == before


def test_where_nothing_can_be_written_training_does_not_start(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bmi_decoder.training.train.train", lambda *args: pytest.fail("it trained in vain"))
    assert main([*TRAIN[:-1], "a_folder"]) == 1
    assert main([*TRAIN, "--json", "gone/new.json"]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_training_needs_the_training_extra(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bmi_decoder.commands.training_extra.find_spec", lambda name: None)
    for arguments in (TRAIN, ["decoders"]):
        assert main(arguments) == 1
        assert capsys.readouterr().err == (
            f"bmi-decoder {arguments[0]}: '{arguments[0]}' needs the training extra: pip install 'bmi-decoder[train]'\n"
        )
