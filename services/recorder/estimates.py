"""Estimates as XDF streams: one per variant, and one that says how each estimate came about."""

from __future__ import annotations

import numpy as np

from bmi_decoder.clock import lsl_clock
from bmi_decoder.formats.xdf_encode import describe_stream, samples
from bmi_decoder.recorded_session import COLUMNS, DECODED, ESTIMATES
from bmi_decoder.recording import Output
from bmi_decoder.wire import Estimate, Variant
from services.recorder.intake import Chunk, Intake, Track

_UNITS = ("", "", "s", "s", "", "", "")


class EstimateTracks:
    """Collects estimates, and writes them as chunks.

    Parameters
    ----------
    intake : Intake
    session : str
        Its name begins those of the streams.

    Attributes
    ----------
    outputs : tuple of Output
        Names and units of the decoder in use; empty where they are not known.
    """

    def __init__(self, intake: Intake, session: str) -> None:
        self._intake, self._session = intake, session
        self.outputs: tuple[Output, ...] = ()
        self._tracks: dict[tuple[Variant, tuple[Output, ...]], Track] = {}
        self._rows: list[tuple[float, ...]] = []
        self._decoded: dict[Variant, tuple[list[float], list[np.ndarray]]] = {}
        name = f"{session}-{ESTIMATES}"
        header = describe_stream(
            name, ESTIMATES, "double64", list(zip(COLUMNS, _UNITS, strict=True)), f"bmi-decoder-{name}"
        )
        self._about = intake.own_track(name, ESTIMATES, header)

    def add(self, estimate: Estimate) -> None:
        """Take one estimate."""
        variants = 0
        for variant, t_valid, row in zip(estimate.variants, estimate.t_valid, estimate.outputs, strict=True):
            stamps, rows = self._decoded.setdefault(variant, ([], []))
            stamps.append(float(t_valid))
            rows.append(row)
            variants |= 1 << variant
        self._rows.append(
            (
                estimate.sequence,
                estimate.bin_index,
                estimate.t_source,
                estimate.t_publish,
                int(estimate.flags),
                estimate.revision,
                variants,
            )
        )

    def flush(self) -> None:
        """Hand over what was collected."""
        now = lsl_clock()
        if not self._rows:
            return
        about = np.array(self._rows, np.float64)
        chunks = []
        for variant, (stamps, rows) in self._decoded.items():
            values = np.stack(rows)
            chunks.append(_chunk(self._track(variant, values.shape[1]), "float32", np.array(stamps), values, now))
        # Last, so that in a file that was cut short every row of it has its outputs.
        chunks.append(_chunk(self._about, "double64", about[:, COLUMNS.index("t_source")], about, now))
        self._intake.put(*chunks)
        self._rows, self._decoded = [], {}

    def _track(self, variant: Variant, n_outputs: int) -> Track:
        unnamed = tuple(Output(f"output_{k}", "unknown") for k in range(n_outputs))
        outputs = self.outputs if len(self.outputs) == n_outputs else unnamed
        if (variant, outputs) not in self._tracks:
            name = f"{self._session}-{variant.name}"
            channels = [(output.name, output.unit) for output in outputs]
            header = describe_stream(
                name, DECODED, "float32", channels, f"bmi-decoder-{name}", {"variant": variant.name}
            )
            self._tracks[variant, outputs] = self._intake.own_track(name, DECODED, header)
        return self._tracks[variant, outputs]


def _chunk(track: Track, form: str, stamps: np.ndarray, values: np.ndarray, now: float) -> Chunk:
    content = samples(track.number, form, stamps, values)
    return Chunk(track, content, now, len(stamps), float(stamps[0]), float(stamps[-1]))
