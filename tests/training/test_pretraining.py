"""Pretraining on other sessions: what it brings, whose statistics count, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bmi_decoder.bundle import Bundle, parse_bundle, write_bundle
from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.decoders.lstm import LstmDecoder
from bmi_decoder.decoders.registry import build_decoder
from bmi_decoder.errors import InputError
from bmi_decoder.recording import Output, Recording
from bmi_decoder.simulation import SubjectSettings, simulate
from bmi_decoder.training import checkpoint as checkpoint_module
from bmi_decoder.training.loop import Stretch
from bmi_decoder.training.pretraining import PretrainSettings, check_sessions, pretrain
from bmi_decoder.training.recipe import Recipe
from bmi_decoder.training.run_key import run_key
from bmi_decoder.training.settings import TrainSettings
from bmi_decoder.training.train import train

SETTINGS = {
    "lstm": {"hidden": 32, "updates": 60},
    "snn_streaming": {"hidden1": 48, "hidden2": 24, "updates": 60},
}


@cache
def session(seed: int, seconds: float = 200.0, n_channels: int = 64) -> Recording:
    """One session of always the same subject."""
    population: Any = {"n_channels": n_channels}
    return simulate(SubjectSettings(bin_s=0.05, subject_seed=5, seed=seed, population=population), seconds)


def trained(decoder: str, *others: Recording) -> Bundle:
    return train(session(9, 60), TrainSettings(decoder, overrides=SETTINGS[decoder]), pretrain_on=others)


@pytest.mark.parametrize("decoder", sorted(SETTINGS))
def test_three_sessions_help_a_short_fourth(decoder: str) -> None:
    alone, helped = trained(decoder), trained(decoder, session(1), session(2), session(3))
    before, after = (bundle.manifest.metrics["validation"]["raw"]["r2"] for bundle in (alone, helped))
    assert after > before + 0.05
    assert alone.manifest.training.pretraining is None


def test_the_manifest_says_what_was_learned_from(tmp_path: Path) -> None:
    settings = TrainSettings(
        "lstm",
        overrides={"hidden": 4, "epochs": 3, "learning_rate": 2e-3},
        pretraining=PretrainSettings({"epochs": 2, "weight_decay": 0.7}, 0.5),
    )
    bundle = train(session(9, 60), settings, pretrain_on=[session(1), session(2)])
    write_bundle(bundle, tmp_path / "b.bmi")
    training = parse_bundle((tmp_path / "b.bmi").read_bytes(), "b").manifest.training
    early = training.pretraining
    assert early is not None
    assert [(one.source, one.fingerprint, one.bins) for one in early.sessions] == [
        (one.source, one.fingerprint(), one.n_bins) for one in (session(1), session(2))
    ]
    assert (early.epochs, early.recipe["weight_decay"], early.fine_tune_rate) == (2, 0.7, 0.5)
    assert (early.recipe["learning_rate"], training.recipe["learning_rate"]) == (2e-3, 1e-3)
    assert (training.epochs, training.recipe["epochs"]) == (3, 3)


N_CHANNELS = 6


def stretch(seed: int, n: int = 1200) -> Stretch:
    generator = torch.Generator().manual_seed(seed)
    y = torch.randn((n, 2), generator=generator).cumsum(0)
    mixing = torch.randn((2, N_CHANNELS), generator=torch.Generator().manual_seed(0))
    return Stretch(y @ mixing + torch.randn((n, N_CHANNELS), generator=generator), y)


def pretrained(sessions: list[Stretch], train_part: Stretch, epochs: int = 2) -> Decoder:
    torch.manual_seed(0)
    decoder = LstmDecoder(N_CHANNELS, 2, hidden=8)
    pretrain(decoder, sessions, train_part, stretch(8, 300), Recipe(epochs=epochs), 0.05, 1, are_counts=False)
    return decoder


def test_every_session_is_standardised_with_its_own_statistics() -> None:
    """Gain and offset of the amplifiers of one session, and the unit of its targets, leave no trace."""
    first, second = stretch(1), stretch(2)
    other_rig = Stretch(second.x * 8 + 100, second.y * 0.25 - 3)
    plain, shifted = pretrained([first, second], stretch(7)), pretrained([first, other_rig], stretch(7))
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(value, shifted.state_dict()[name], rtol=2e-3, atol=2e-4)
    one = pretrained([first, first], stretch(7))
    assert not torch.allclose(one.state_dict()["stack.layers.readout.linear.weight"],
                              plain.state_dict()["stack.layers.readout.linear.weight"])  # fmt: skip


def test_the_decoder_ends_with_the_statistics_of_its_own_recording() -> None:
    own = stretch(7)
    own = Stretch(own.x * 3 + 1, own.y)
    expected = LstmDecoder(N_CHANNELS, 2, hidden=8)
    expected.calibrate(own.x)
    statistics = dict(expected.named_buffers())
    assert statistics
    found = dict(pretrained([stretch(1), stretch(2)], own).named_buffers())
    for name, value in statistics.items():
        assert torch.equal(found[name], value), name


def test_lanes_come_from_all_sessions_in_proportion_to_their_length(monkeypatch: pytest.MonkeyPatch) -> None:
    scanned: list[tuple[int, int]] = []
    scan = LstmDecoder.scan

    def spy(self: LstmDecoder, x: Tensor, state: Any) -> Any:
        if self.training and x.shape[0] > 1:
            scanned.append((x.shape[0], x.shape[1]))
        return scan(self, x, state)

    monkeypatch.setattr(LstmDecoder, "scan", spy)
    pretrained([stretch(1, 1800), stretch(2, 600)], stretch(7), epochs=1)
    assert scanned[:4] == [(6, 50), (2, 50)] * 2
    assert sum(lanes * bins for lanes, bins in scanned) == 2400


def test_a_run_that_was_killed_after_the_pretraining_does_not_repeat_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_module, "SHORTEST_INTERVAL_S", 0.0)
    settings = TrainSettings("lstm", overrides={"hidden": 4, "epochs": 4})
    told: list[int] = []

    def run(kill_at: int | None = None, resume: bool = True) -> Bundle:
        told.clear()

        def progress(epoch: int, total: int, score: float) -> None:
            told.append(epoch)
            if len(told) == kill_at:
                raise KeyboardInterrupt

        return train(session(9, 60), settings, progress, tmp_path / "c", resume, [session(1)])

    whole = run(resume=False)
    assert told == [1, 2, 3, 4, 1, 2, 3, 4]
    for kill_at in (2, 4):  # in the pretraining, and behind it
        with pytest.raises(KeyboardInterrupt):
            run(kill_at)
    resumed = run()
    assert told == [3, 4], "two epochs after the last checkpoint, none of the pretraining"
    assert resumed.weights == whole.weights
    early, before = resumed.manifest.training.pretraining, whole.manifest.training.pretraining
    assert early is not None and before is not None
    assert (early.epochs, early.best_epoch, early.validation_r2) == (4, before.best_epoch, before.validation_r2)
    assert list(tmp_path.iterdir()) == []


def test_another_pretraining_is_another_run() -> None:
    base = TrainSettings("lstm")
    other = replace(base, pretraining=PretrainSettings(fine_tune_rate=0.1))
    assert run_key("a", base) == run_key("a", other), "without sessions the settings of the pretraining mean nothing"
    assert len({run_key("a", base), *(run_key("a", s, f) for s in (base, other) for f in (["b"], ["c"]))}) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, r"holds the same data as simulated subject 5, seed 9: pretrain on other sessions"),
        ({"bin_s": 0.1}, r"has bins of 0.1 s, simulated subject 5, seed 9 of 0.05 s: .* --bin-ms"),
        ({"outputs": (Output("x", ""), Output("y", ""))}, "has outputs x, y, .* has x_velocity, y_velocity"),
    ],
)
def test_sessions_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    recording = session(9, 60)
    with pytest.raises(InputError, match=message):
        check_sessions(recording, [session(1), replace(recording, source="other", **change)])


def test_more_that_is_refused() -> None:
    recording = session(9, 60)
    with pytest.raises(InputError, match="has 8 channels, simulated subject 5, seed 9 has 64: pretrain on sessions"):
        check_sessions(recording, [session(1, 20, 8)])
    with pytest.raises(InputError, match="same data as simulated subject 5, seed 1"):
        check_sessions(recording, [session(1), session(1)])
    with pytest.raises(InputError, match="'wiener' is fitted in closed form: it cannot be pretrained"):
        train(recording, TrainSettings("wiener"), pretrain_on=[session(1)])
    with pytest.raises(InputError, match="fine-tuning rate must be above 0 and at most 1, got 0"):
        PretrainSettings(fine_tune_rate=0)
    wrong = PretrainSettings({"hidden": 3})
    with pytest.raises(InputError, match="training setting hidden is 3: Extra inputs are not permitted"):
        train(recording, TrainSettings("lstm", pretraining=wrong), pretrain_on=[session(1)])


def test_what_calibration_does_not_fill_is_left_alone() -> None:
    """Batch normalisation keeps one set of running statistics over all sessions."""
    decoder = build_decoder("ann_2d", N_CHANNELS, 2, {"boxcar": 2, "standardise": True})
    pretrain(
        decoder, [stretch(1), stretch(2)], stretch(7), stretch(8, 300), Recipe(epochs=1, averaging=0), 0.05, 1, False
    )
    counted = {name: int(value) for name, value in decoder.named_buffers() if name.endswith("num_batches_tracked")}
    assert len(counted) == 2
    assert len(set(counted.values())) == 1 and min(counted.values()) > 4
