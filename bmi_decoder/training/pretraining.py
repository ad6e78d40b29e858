"""Training on several sessions at once, before a decoder is trained on the one that it is for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from bmi_decoder.bundle import PretrainingInfo, PretrainingSession
from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.errors import InputError
from bmi_decoder.evaluation.r2 import mean_r2
from bmi_decoder.recording import Recording
from bmi_decoder.training.checkpoint import Checkpoint
from bmi_decoder.training.fit import objectives_of, predict
from bmi_decoder.training.loop import FitReport, Loop, Progress, Stretch
from bmi_decoder.training.recipe import Recipe


@dataclass(frozen=True)
class PretrainSettings:
    """How pretraining differs from the training that follows.

    Parameters
    ----------
    overrides : mapping
        Recipe fields of the pretraining; the others are those of the training that follows.
    fine_tune_rate : float
        What the learning rate of the training that follows is multiplied by.
    """

    overrides: Mapping[str, Any] = field(default_factory=dict)
    fine_tune_rate: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.fine_tune_rate <= 1:
            raise InputError(f"the fine-tuning rate must be above 0 and at most 1, got {self.fine_tune_rate}")


def check_sessions(recording: Recording, sessions: Sequence[Recording]) -> None:
    """Raise an InputError unless a decoder for `recording` can learn from the sessions.

    A session must have the same channels and bin width and the same kinematics, in whatever unit; and it must not be
    the recording itself, whose test part would be learned.
    """
    name = recording.source or "the recording"
    seen = {recording.fingerprint(): name}
    for session in sessions:
        source = session.source or "a recording to pretrain on"
        if session.n_channels != recording.n_channels:
            raise InputError(
                f"{source} has {session.n_channels} channels, {name} has {recording.n_channels}: "
                "pretrain on sessions with the same channels"
            )
        if not math.isclose(session.bin_s, recording.bin_s, rel_tol=1e-6):
            raise InputError(
                f"{source} has bins of {session.bin_s:g} s, {name} of {recording.bin_s:g} s: "
                "bring both to one width with --bin-ms"
            )
        theirs, ours = ([output.name for output in r.outputs] for r in (session, recording))
        if theirs != ours:
            raise InputError(f"{source} has outputs {', '.join(theirs)}, {name} has {', '.join(ours)}")
        fingerprint = session.fingerprint()
        if fingerprint in seen:
            raise InputError(
                f"{source} holds the same data as {seen[fingerprint]}: pretrain on other sessions, each named once"
            )
        seen[fingerprint] = source


def pretrain(
    decoder: Decoder,
    sessions: Sequence[Stretch],
    train: Stretch,
    validation: Stretch,
    recipe: Recipe,
    bin_s: float,
    seed: int,
    are_counts: bool,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
    device: torch.device | None = None,
) -> FitReport:
    """Train a decoder on whole sessions, and leave it with the weights of the best epoch for `fit` to go on with.

    Each session is standardised with its own statistics: its channels as `Decoder.calibrate` finds them, and its
    targets. Each update takes lanes from all sessions, in proportion to their length. An epoch is judged on the
    recording that the decoder is for, with that one's statistics.

    Parameters
    ----------
    decoder : Decoder
    sessions : sequence of Stretch
        To learn from.
    train, validation : Stretch
        Of the recording that the decoder is for: statistics come from the first, R2 from the second.
    recipe, bin_s, seed, are_counts, progress, checkpoint, device
        As in `fit`. The checkpoint holds the end of the pretraining too, so that it is not done again.

    Raises
    ------
    InputError
        If the decoder is fitted in closed form, or its recipe asks for what `fit` refuses.
    BmiError
        If the loss stops being finite.
    """
    if decoder.closed_form:
        raise InputError(f"decoder {decoder.name!r} is fitted in closed form: it cannot be pretrained")
    torch.manual_seed(seed)
    statistics = _Statistics(decoder, sessions, train)
    on = torch.device("cpu") if device is None else device
    _, scale, shift = train.standardised()
    mixed = [session.standardised()[0] for session in sessions]
    objectives = objectives_of(decoder, recipe, bin_s, are_counts)
    loop = Loop(
        decoder, objectives, mixed, recipe, recipe.window(bin_s), seed, are_counts, on, statistics.enter_session
    )

    def score(current: Decoder) -> float:
        statistics.enter_recording(current)
        estimate = predict(current, validation.x, on) * scale + shift
        return mean_r2(validation.y.numpy(), estimate.numpy())

    return loop.run(score, progress, checkpoint, keep_end=True)


def pretraining_info(
    sessions: Sequence[Recording], recipe: Recipe, settings: PretrainSettings, report: FitReport
) -> PretrainingInfo:
    """What a bundle says of it."""
    return PretrainingInfo(
        sessions=tuple(
            PretrainingSession(source=session.source, fingerprint=session.fingerprint(), bins=session.n_bins)
            for session in sessions
        ),
        recipe=recipe.model_dump(),
        fine_tune_rate=settings.fine_tune_rate,
        epochs=report.epochs,
        best_epoch=report.best_epoch,
        validation_r2=report.validation_r2,
        seconds=round(report.seconds, 1),
    )


class _Statistics:
    """The buffers that `Decoder.calibrate` fills, for each session and for the recording that the decoder is for."""

    def __init__(self, decoder: Decoder, sessions: Sequence[Stretch], train: Stretch) -> None:
        taken = []
        for x in (*(session.x for session in sessions), train.x):
            decoder.calibrate(x)
            taken.append({name: buffer.clone() for name, buffer in decoder.named_buffers()})
        # What is the same for all was not filled by calibration: normalisation that learns goes on learning.
        names = [name for name, first in taken[0].items() if any(not first.equal(one[name]) for one in taken)]
        self._taken = [{name: one[name] for name in names} for one in taken]

    def enter_session(self, decoder: Decoder, i: int) -> None:
        """Give a decoder the statistics of session i."""
        buffers = dict(decoder.named_buffers())
        for name, value in self._taken[i].items():
            buffers[name].copy_(value)

    def enter_recording(self, decoder: Decoder) -> None:
        """Give a decoder the statistics of the recording that it is for."""
        self.enter_session(decoder, -1)
