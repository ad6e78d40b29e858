"""Training that is killed and goes on ends as if nothing had happened."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bmi_decoder.bundle import Bundle
from bmi_decoder.cli import main
from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.decoders.registry import build_decoder
from bmi_decoder.errors import InputError
from bmi_decoder.formats import write_npz
from bmi_decoder.training import checkpoint as checkpoint_module
from bmi_decoder.training.checkpoint import Checkpoint
from bmi_decoder.training.device import training_device
from bmi_decoder.training.fit import fit
from bmi_decoder.training.loop import FitReport, Stretch
from bmi_decoder.training.recipe import Recipe
from bmi_decoder.training.settings import TrainSettings
from bmi_decoder.training.train import train
from tests.evaluation.support import N_CHANNELS, recording

EPOCHS = 6


def lstm() -> Decoder:
    torch.manual_seed(3)
    return build_decoder("lstm", N_CHANNELS, 2, {"hidden": 6, "dropout": 0.3, "input_dropout": 0.2})


def spiking() -> Decoder:
    torch.manual_seed(3)
    return build_decoder("snn_streaming", N_CHANNELS, 2, {"hidden1": 8, "hidden2": 6, "dropout": 0.3})


def parts() -> tuple[Stretch, Stretch]:
    made = recording(1600)
    x, y = torch.from_numpy(made.counts.astype("float32")), torch.from_numpy(made.kinematics.astype("float32"))
    return Stretch(x[:1200], y[:1200]), Stretch(x[1200:], y[1200:])


def run(
    decoder: Decoder, recipe: Recipe, checkpoint: Checkpoint | None = None, kill_at: int | None = None
) -> FitReport:
    def progress(epoch: int, total: int, score: float) -> None:
        if epoch == kill_at:
            raise KeyboardInterrupt

    return fit(decoder, *parts(), recipe, 0.05, 5, True, progress, checkpoint)


RECIPES = {
    "cosine": Recipe(epochs=EPOCHS, unit_dropout=0.1, poisson_resampling=0.3),
    "plateau": Recipe(epochs=EPOCHS, schedule="plateau", plateau_patience=0, learning_rate=0.05, averaging=0),
    "patience": Recipe(epochs=40, patience=2, learning_rate=0.3, averaging=0),
}


@pytest.mark.parametrize("name", sorted(RECIPES))
@pytest.mark.parametrize("make", [lstm, spiking])
def test_weights_are_the_same_bit_for_bit(make: Callable[[], Decoder], name: str, tmp_path: Path) -> None:
    recipe = RECIPES[name]
    whole, halved = make(), make()
    expected = run(whole, recipe)
    path = tmp_path / "c"
    for kill_at in (2, 3):  # twice, so that a checkpoint of a resumed run is one too
        with pytest.raises(KeyboardInterrupt):
            run(halved, recipe, Checkpoint(path, "key", resume=True, interval_s=0), kill_at)
        halved = make()
        torch.rand(17)
    report = run(halved, recipe, Checkpoint(path, "key", resume=True, interval_s=0))
    assert (report.epochs, report.best_epoch) == (expected.epochs, expected.best_epoch)
    assert report.validation_r2 == expected.validation_r2
    for (field, a), b in zip(whole.state_dict().items(), halved.state_dict().values(), strict=True):
        assert torch.equal(a, b), field


def test_an_older_checkpoint_gives_the_same(tmp_path: Path) -> None:
    """Not every epoch is kept: what was lost is trained again."""
    recipe, whole, halved = RECIPES["cosine"], lstm(), lstm()
    run(whole, recipe)
    keeper = Checkpoint(tmp_path / "c", "key", interval_s=0)
    with pytest.raises(KeyboardInterrupt):
        run(halved, recipe, keeper, 2)
    keeper = Checkpoint(tmp_path / "c", "key", resume=True, interval_s=1e9)
    with pytest.raises(KeyboardInterrupt):
        run(halved, recipe, keeper, 5)
    halved = lstm()
    run(halved, recipe, Checkpoint(tmp_path / "c", "key", resume=True))
    assert all(
        torch.equal(a, b) for a, b in zip(whole.state_dict().values(), halved.state_dict().values(), strict=True)
    )


def test_without_resume_training_begins_anew(tmp_path: Path) -> None:
    told: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        run(lstm(), RECIPES["cosine"], Checkpoint(tmp_path / "c", "key", interval_s=0), 3)
    fit(
        lstm(),
        *parts(),
        RECIPES["cosine"],
        0.05,
        5,
        True,
        lambda epoch, total, score: told.append(epoch),
        Checkpoint(tmp_path / "c", "key", interval_s=0),
    )
    assert told == list(range(1, EPOCHS + 1))


def test_another_runs_checkpoint_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "c"
    with pytest.raises(KeyboardInterrupt):
        run(lstm(), RECIPES["cosine"], Checkpoint(path, "key", interval_s=0), 2)
    with pytest.raises(InputError, match=r"is of another run: .* train without --resume, or remove"):
        run(lstm(), RECIPES["cosine"], Checkpoint(path, "other", resume=True))
    whole = path.read_bytes()
    for data in (b"", b"not a checkpoint", whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises(InputError, match="is not a complete checkpoint"):
            Checkpoint(path, "key", resume=True).load()


SETTINGS = TrainSettings("lstm", overrides={"hidden": 4, "epochs": 5})

KILLED = """
    import os, signal, sys
    from pathlib import Path
    from bmi_decoder.training import checkpoint
    from bmi_decoder.training.train import train
    from tests.evaluation.support import recording
    from tests.training.test_checkpoint import SETTINGS

    checkpoint.SHORTEST_INTERVAL_S = 0

    def die(epoch, total, score):
        if epoch == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    train(recording(1500), SETTINGS, die, Path(sys.argv[1]))
"""


def test_a_killed_process_is_gone_on_from(tmp_path: Path) -> None:
    path = tmp_path / "b.checkpoint"
    root = Path(__file__).parents[2]
    died = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), str(path)], cwd=root, check=False)
    assert died.returncode == -signal.SIGKILL
    assert path.exists()
    told: list[int] = []
    bundle = train(recording(1500), SETTINGS, lambda epoch, *_: told.append(epoch), path, resume=True)
    assert told == [4, 5]
    assert not path.exists()
    assert same(bundle, train(recording(1500), SETTINGS))


def same(a: Bundle, b: Bundle) -> bool:
    assert a.manifest.metrics == b.manifest.metrics
    return a.weights == b.weights


def test_the_command_resumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_npz(recording(1500), tmp_path / "r.npz")
    out = tmp_path / "d.bmi"
    options = ["--decoder", "lstm", "--set", "hidden=4", "--set", "epochs=4", "--out", str(out)]
    command = ["train", str(tmp_path / "r.npz"), *options]
    monkeypatch.setattr(checkpoint_module, "SHORTEST_INTERVAL_S", 0.0)
    assert main([*command, "--resume"]) == 0
    assert "begins at the beginning" in capsys.readouterr().err
    first = out.read_bytes()
    assert not out.with_name("d.bmi.checkpoint").exists()
    out.with_name("d.bmi.checkpoint").write_bytes(b"left over")
    assert main([*command, "--resume"]) == 2
    assert "not a complete checkpoint" in capsys.readouterr().err
    assert main(command) == 0, "without --resume what is left over does not matter"
    assert len(out.read_bytes()) == pytest.approx(len(first), abs=50)


@pytest.mark.parametrize("name", ["tpu", "meta", "cuda:77", ""])
def test_a_device_that_is_not_there_is_a_clear_error(name: str) -> None:
    with pytest.raises(InputError, match=r"device"):
        train(recording(1500), TrainSettings("lstm", device=name))


def test_no_gpu_is_said_so() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match=r"'cuda' is not there: torch .* sees 0 GPUs; train with --device cpu"):
        training_device("cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("make", [lstm, spiking])
def test_a_gpu_learns_the_same(make: Callable[[], Decoder]) -> None:
    recipe = Recipe(epochs=EPOCHS)
    here, there = make(), make()
    expected = fit(here, *parts(), recipe, 0.05, 5, True)
    report = fit(there, *parts(), recipe, 0.05, 5, True, device=torch.device("cuda"))
    assert report.validation_r2 == pytest.approx(expected.validation_r2, abs=0.05)
    assert all(value.device.type == "cpu" for value in there.state_dict().values())
