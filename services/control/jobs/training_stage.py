"""Training as a part of a job: the process that does it, and the decoder that comes of it."""

from __future__ import annotations

import hashlib
import json
import os
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bmi_decoder.jobs import ReadingSettings, TrainingChoices
from services.control.decoders.library import Library
from services.control.jobs.kind import Stage
from services.control.rest.problem import Problem, bad_value
from services.control.rest.upload import Upload
from services.control.sessions.lookup import no_session
from services.control.storage.places import DataDirectory
from services.control.storage.store import Store
from services.control.storage.stored_session import StoredSession

_BUNDLE, _COMPARISON = "decoder.bmi", "comparison.json"


def trainable_decoders() -> list[str]:
    """Names of the decoders that there are to train; torch is not loaded for that."""
    return sorted(point.name for point in entry_points(group="bmi_decoder.decoders"))


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
    known = trainable_decoders()
    if decoder not in known:
        raise bad_value(
            "decoder", f"no decoder {decoder!r} to train; there is: {', '.join(known)}", decoder, list(known)
        )


class Training:
    """Trains for jobs, on recordings of any origin.

    Parameters
    ----------
    places : DataDirectory
    library : Library
        Where the new decoders go.
    store : Store
        Whose sessions' decoders new ones are compared with.
    """

    def __init__(self, places: DataDirectory, library: Library, store: Store) -> None:
        self._places, self._library, self._store = places, library, store

    def check(self, request: TrainingChoices) -> None:
        """Refuse what names something that is not there.

        Raises
        ------
        Problem
        """
        check_can_train(request.decoder)
        for field, get in (("init_from", self._library.get), ("session", self.session)):
            wanted = getattr(request, field)
            try:
                _ = wanted is None or get(wanted)
            except Problem as problem:
                raise bad_value(field, problem.detail, wanted, problem.members["existing"]) from None

    def session(self, name: str) -> StoredSession:
        """A session.

        Raises
        ------
        Problem
            404 if there is none of that name.
        """
        row = self._store.session(name)
        if row is None:
            raise no_session(self._store, name)
        return row

    def order(self, request: TrainingChoices, recording: Path, reading: ReadingSettings, folder: Path) -> Path:
        """Write what the training process is to do; gives the file.

        Parameters
        ----------
        request : TrainingChoices
        recording : Path
            The file to train on; it may not be there yet.
        reading : ReadingSettings
        folder : Path
            The job's own.
        """
        included = {"decoder", "preset", "overrides", "input_filter", "split", "seed"}
        order: dict[str, Any] = request.model_dump(mode="json", include=included)
        order["recording"] = str(recording)
        order["reading"] = reading.model_dump() | {"bin_s": request.bin_s}
        if request.init_from is not None:
            order["init_from"] = str(self._held(request.init_from, folder, "initial.bmi"))
        if request.session is not None:
            session = self.session(request.session)
            order["in_use"] = {
                "session": session.name,
                "decoder": session.decoder,
                "bundle": str(self._held(session.decoder, folder, "in_use.bmi")),
                **session.settings.model_dump(mode="json", include={"output_filters", "masked_channels"}),
                "report": str(folder / _COMPARISON),
            }
        path = folder / "train.json"
        path.write_text(json.dumps(order))
        return path

    def _held(self, decoder_id: str, folder: Path, name: str) -> Path:
        """A stored bundle under a name in the job's folder, where it stays if the decoder is deleted meanwhile."""
        os.link(self._places.decoder(self._library.get(decoder_id).id), folder / name)
        return folder / name

    def stage(self, order: Path, share: float = 1.0) -> Stage:
        """The process that does what `order` says, and leaves a bundle beside it."""
        return Stage(("-m", "bmi_decoder.training.job", str(order), str(order.with_name(_BUNDLE))), share)

    def keep(self, decoder: str, folder: Path) -> dict[str, Any]:
        """Store the bundle that the process has left; gives the new decoder's id, metrics and comparison."""
        path = linked(folder / _BUNDLE)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        row = self._library.add(Upload(path, f"{decoder}.bmi", digest, path.stat().st_size))
        comparison = folder / _COMPARISON
        return {
            "decoder": row.id,
            "metrics": row.manifest.get("metrics") or {},
            "comparison": json.loads(comparison.read_bytes()) if comparison.exists() else None,
        }


def linked(path: Path) -> Path:
    """A second name of a job's file, to be moved away, so that the first is there if that must be done again."""
    second = path.with_stem(path.stem + ".kept")
    second.unlink(missing_ok=True)
    os.link(path, second)
    return second
