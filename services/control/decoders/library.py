"""Stored decoders: bundles on disk under the hash of their content, with their manifests in the store."""

from __future__ import annotations

import threading
from typing import Any

from bmi_decoder.bundle import read_bundle
from bmi_decoder.errors import BundleError
from bmi_decoder.rest_models import DecoderDetail, DecoderInfo
from services.control.clock import now
from services.control.rest.problem import Problem, bad_value, not_found
from services.control.rest.upload import Upload
from services.control.storage.places import DataDirectory
from services.control.storage.store import Store
from services.control.storage.tables import DecoderRow
from services.durable import store_durably, sync

_ID_DIGITS = 16


class Library:
    """The decoders of one data directory; methods block on disk and may be called from any thread.

    Parameters
    ----------
    places : DataDirectory
    store : Store
    """

    def __init__(self, places: DataDirectory, store: Store) -> None:
        self._places = places
        self._store = store
        self._changing = threading.Lock()

    def add(self, upload: Upload) -> DecoderRow:
        """Check an upload and keep it.

        Raises
        ------
        Problem
            422 if it is not a bundle that can be trusted.
        """
        try:
            manifest = read_bundle(upload.path).manifest
        except BundleError as error:
            message = str(error).replace(str(upload.path), upload.file_name or "file")
            raise bad_value("file", message, upload.file_name) from None
        decoder_id = upload.sha256[:_ID_DIGITS]
        row = DecoderRow(
            id=decoder_id,
            sha256=upload.sha256,
            size_bytes=upload.size_bytes,
            file_name=upload.file_name,
            uploaded_at=now(),
            manifest=manifest.model_dump(mode="json"),
        )
        sync(upload.path)
        with self._changing:
            store_durably(upload.path, self._places.decoder(decoder_id))
            return self._store.add_decoder(row)

    def get(self, decoder_id: str) -> DecoderRow:
        """One decoder.

        Raises
        ------
        Problem
            404 if there is none of that id.
        """
        row = self._store.decoder(decoder_id)
        if row is None:
            raise not_found("decoder", decoder_id, (known.id for known in self._store.decoders()))
        return row

    def remove(self, decoder_id: str) -> None:
        """Remove a decoder and its file.

        Raises
        ------
        Problem
            404 if there is none of that id, 409 if a session uses it.
        """
        with self._changing:
            self.get(decoder_id)
            if not self._store.remove_decoder(decoder_id):
                users = self._store.users_of(decoder_id)
                raise Problem(
                    409,
                    f"decoder {decoder_id!r} is used by session {', '.join(users)}; delete that first, "
                    "or give it another decoder",
                    used_by=list(users),
                )
            self._places.decoder(decoder_id).unlink(missing_ok=True)

    def describe(self, row: DecoderRow) -> DecoderDetail:
        """Everything about a decoder."""
        return DecoderDetail(
            **decoder_info(row).model_dump(),
            sha256=row.sha256,
            input_filter=row.manifest.get("input_filter"),
            output_filters=row.manifest["output_filters"],
            metrics=row.manifest.get("metrics") or {},
            manifest=row.manifest,
            used_by=self._store.users_of(row.id),
        )


def decoder_info(row: DecoderRow) -> DecoderInfo:
    """The short form of a decoder."""
    known: dict[str, Any] = {name: row.manifest[name] for name in ("decoder", "n_channels", "bin_s", "outputs")}
    return DecoderInfo(
        id=row.id, file_name=row.file_name, size_bytes=row.size_bytes, uploaded_at=row.uploaded_at, **known
    )
