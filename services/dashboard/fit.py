"""Which decoders can decode a stream, and why the others cannot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bmi_decoder.errors import StreamMismatchError
from services.control.storage.tables import DecoderRow
from services.ingest.description import RigDescription
from services.ingest.expectation import check_stream
from services.ingest.lsl import VisibleStream


@dataclass(frozen=True)
class Fit:
    """A decoder against a stream.

    Attributes
    ----------
    decoder : str
        Id.
    label : str
        For people.
    reason : str
        Why it does not fit; empty if it does.
    """

    decoder: str
    label: str
    reason: str


def decoder_label(row: DecoderRow) -> str:
    """A decoder in a few words."""
    return f"{row.manifest['decoder']} · {row.file_name} · {row.id[:8]}"


def fits(stream: VisibleStream, description: RigDescription, decoders: Iterable[DecoderRow]) -> list[Fit]:
    """Every decoder with its verdict; those that fit first, the newest of them first."""
    found = []
    for row in decoders:
        reason = ""
        try:
            check_stream(stream, description, int(row.manifest["n_channels"]), float(row.manifest["bin_s"]))
        except StreamMismatchError as error:
            reason = str(error)
        found.append((bool(reason), row.uploaded_at, Fit(row.id, decoder_label(row), reason)))
    newest_first = sorted(found, key=lambda entry: entry[1], reverse=True)
    return [fit for _, _, fit in sorted(newest_first, key=lambda entry: entry[0])]
