"""A session as the store has it, taken apart once: statuses are made of it hundreds of times a second."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Self

from bmi_decoder.config import OutputFilterSettings, SessionSettings
from services.control.storage.tables import DecoderRow, SessionRow


@dataclass(frozen=True)
class StoredSession:
    """One session at one moment; a change of the session makes another one.

    Attributes
    ----------
    name, decoder, revision, wanted, failed, restarts, last
        As in `SessionRow`.
    settings : SessionSettings
    etag : str
        Names settings and revision, in quotes as HTTP wants it.
    variants : tuple of str
        The published forms of each estimate.
    bin_s : float
        Of its decoder.
    """

    name: str
    decoder: str
    settings: SessionSettings
    revision: int
    wanted: bool
    failed: bool
    restarts: int
    last: dict[str, Any] | None
    etag: str
    variants: tuple[str, ...]
    bin_s: float

    @classmethod
    def of(cls, row: SessionRow, decoder: DecoderRow) -> Self:
        """What a session's row and its decoder's say."""
        settings = row.session_settings
        filters = settings.output_filters or OutputFilterSettings.model_validate(decoder.manifest["output_filters"])
        return cls(
            name=row.name,
            decoder=row.decoder,
            settings=settings,
            revision=row.revision,
            wanted=row.wanted,
            failed=row.failed,
            restarts=row.restarts,
            last=row.last,
            etag=_etag(row),
            variants=tuple(variant.name for variant in filters.variants),
            bin_s=float(decoder.manifest["bin_s"]),
        )


def _etag(row: SessionRow) -> str:
    configuration = [row.created_at, row.revision, row.settings]
    digest = hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()
    return f'"{digest[:16]}"'
