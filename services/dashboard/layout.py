"""What a page must know of a session before it can draw its estimates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bmi_decoder.config import OutputFilterSettings
from bmi_decoder.pipeline import filter_lookahead
from bmi_decoder.rest_models import SessionStatus
from services.control.storage.tables import DecoderRow
from services.dashboard.fit import decoder_label


@dataclass(frozen=True)
class Layout:
    """Outputs, their variants and how far behind the newest bin each variant is.

    Attributes
    ----------
    bin_s : float
        On the clock of the stream: a replay at speed X has bins of an Xth.
    outputs : tuple of (name, unit)
    lookahead_s : dict
        By variant, in the order in which they are published; on the same clock.
    """

    decoder: str
    bin_s: float
    n_channels: int
    outputs: tuple[tuple[str, str], ...]
    lookahead_s: dict[str, float]

    def message(self) -> dict[str, Any]:
        """For the browser."""
        return {
            "decoder": self.decoder,
            "bin_s": self.bin_s,
            "n_channels": self.n_channels,
            "outputs": [{"name": name, "unit": unit} for name, unit in self.outputs],
            "variants": [{"name": name, "lookahead_s": lag} for name, lag in self.lookahead_s.items()],
        }


def layout_of(status: SessionStatus, decoder: DecoderRow, speed: float) -> Layout:
    """The layout of a session as it is now, whose stream is replayed at a speed."""
    bin_s = float(decoder.manifest["bin_s"]) / speed
    filters = status.settings.output_filters or OutputFilterSettings.model_validate(decoder.manifest["output_filters"])
    lookahead = {"raw": 0.0} | {name: filter_lookahead(name, chosen) * bin_s for name, chosen in filters.items()}
    outputs = tuple((str(output["name"]), str(output["unit"])) for output in decoder.manifest["outputs"])
    return Layout(decoder_label(decoder), bin_s, int(decoder.manifest["n_channels"]), outputs, lookahead)
