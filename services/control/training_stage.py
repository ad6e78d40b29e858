"""Training as a part of a job: the process that does it, and the decoder that comes of it."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bmi_decoder.jobs import TrainRequest
from services.control.job_kind import Stage
from services.control.library import Library
from services.control.problem import Problem, bad_value
from services.control.upload import Upload

_BUNDLE = "decoder.bmi"


def check_can_train(decoder: str) -> None:
    """Refuse a decoder that cannot be trained here.

    Raises
    ------
    Problem
        501 without the training extra, 422 if there is no such decoder.
    """
    if find_spec("torch") is None:
        raise Problem(
            501, "this installation cannot train: it needs the training extra, pip install 'bmi-decoder[train]'"
        )
    known = sorted(point.name for point in entry_points(group="bmi_decoder.decoders"))
    if decoder not in known:
        raise bad_value(
            "decoder", f"no decoder {decoder!r} to train; there is: {', '.join(known)}", decoder, list(known)
        )


def training_stage(
    request: TrainRequest, recording: Path, initial: Path | None, folder: Path, share: float = 1.0
) -> Stage:
    """The process that trains on a recording's file and leaves a bundle in `folder`.

    Parameters
    ----------
    request : TrainRequest
        How to train; its `recording` is not looked at.
    recording : Path
    initial : Path, optional
        The bundle from whose weights training starts.
    folder : Path
        The job's own.
    share : float
        Of the job's work.
    """
    order = request.model_dump(mode="json", include={"decoder", "preset", "overrides", "input_filter", "split", "seed"})
    order["recording"] = str(recording)
    order["reading"] = request.reading.model_dump() | {"bin_s": request.bin_s}
    order["init_from"] = None if initial is None else str(initial)
    path = folder / "train.json"
    path.write_text(json.dumps(order))
    return Stage(("-m", "bmi_decoder.training.job", str(path), str(folder / _BUNDLE)), share)


def keep_trained(library: Library, decoder: str, folder: Path) -> dict[str, Any]:
    """Store the bundle that a training stage has left; gives the new decoder's id and metrics."""
    path = folder / _BUNDLE
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    row = library.add(Upload(path, f"{decoder}.bmi", digest, path.stat().st_size))
    return {"decoder": row.id, "metrics": row.manifest.get("metrics") or {}}
