"""The streams of an XDF file, on one clock."""

from __future__ import annotations

import io
import logging
import struct
import warnings
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import InputError
from bmi_decoder.formats.extra import require_formats_extra
from bmi_decoder.formats.opening import file_head, too_large
from bmi_decoder.formats.xdf_chunks import MAX_BYTES, whole_chunks
from bmi_decoder.formats.xdf_clock import regular_spans, sample_interval

# What pyxdf, the XML parser and NumPy raise on values that make no sense.
_DAMAGE = (
    ParseError, ValueError, TypeError, KeyError, IndexError, AttributeError,
    OSError, RuntimeError, OverflowError, EOFError, struct.error,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class XdfStream:
    """One stream of a recording.

    Attributes
    ----------
    name, type, format : str
        As the stream declares them; format is float32, string and so on.
    rate_hz : float
        Nominal rate; 0 for an irregular stream.
    labels, units : tuple of str
        Of each channel; empty where the stream does not say.
    times : array (T,)
        Stamps in s on the recorder's clock, as they came: clocks are brought together, jitter is not removed.
    values : array (T, C) or list
        Samples; a list of lists of str for a stream of strings.
    resets : tuple of int
        Samples that are the first after the sender's clock was set anew, as it is when a computer restarts.
    speed : float
        How many times faster than real time a replay of ours was; 1 for everything else.
    """

    name: str
    type: str
    format: str
    n_channels: int
    rate_hz: float
    labels: tuple[str, ...]
    units: tuple[str, ...]
    times: npt.NDArray[np.float64]
    values: Any
    resets: tuple[int, ...]
    speed: float

    @property
    def step_s(self) -> float | None:
        """Interval between samples in s, or None for an irregular stream."""
        return sample_interval(self.times, self.rate_hz) if self.rate_hz > 0 else None

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Stretches of samples without a gap or a reset of the clock; empty if there are no samples."""
        edges = [0, *self.resets, len(self.times)]
        if self.step_s is None:
            return tuple((a, b) for a, b in pairwise(edges) if a < b)
        return regular_spans(self.times, self.step_s, self.resets)

    def describe(self) -> str:
        """The stream in a few words, for a list."""
        rate = f"{self.rate_hz:g} Hz" if self.rate_hz else "irregular"
        return f"{self.name!r} (type {self.type!r}, {self.n_channels} channels, {rate}, {len(self.times)} samples)"


@dataclass(frozen=True, eq=False)
class XdfFile:
    """What an XDF file holds.

    Attributes
    ----------
    streams : tuple of XdfStream
        In the order of the file.
    remarks : tuple of str
        What a reader should know: the file ends inside a chunk, or a clock could not be corrected.
    """

    streams: tuple[XdfStream, ...]
    remarks: tuple[str, ...]


def load_xdf(path: Path | str) -> XdfFile:
    """Load every stream of an XDF file.

    pyxdf brings the streams on the recorder's clock, and says where a sender's clock was reset. Its removal of
    jitter is switched off: it fits a line through the stamps, which hides gaps of up to 500 samples.

    Raises
    ------
    InputError
        If the file is missing, too large, or damaged. One that ends inside a chunk, because the recorder was
        killed, is read up to there.
    BmiError
        If pyxdf is not installed.
    """
    path = Path(path)
    file_head(path)
    require_formats_extra("pyxdf", path)
    import pyxdf

    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: the file is larger than {MAX_BYTES} bytes; cut the recording into parts")
    content = path.read_bytes()
    end = whole_chunks(content, path)
    said = _Listener()
    logger = logging.getLogger("pyxdf.pyxdf")
    logger.addFilter(said)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found, _ = pyxdf.load_xdf(io.BytesIO(content[:end]), dejitter_timestamps=False)
            streams = tuple(_stream(stream) for stream in found)
    except MemoryError as error:
        raise too_large(path) from error
    except _DAMAGE as error:
        raise InputError(f"{path}: the XDF file is damaged ({' '.join(str(error).split())[:200]})") from error
    finally:
        logger.removeFilter(said)
    if said.errors:
        raise InputError(f"{path}: the XDF file is damaged ({said.errors[0]}); copy it again")
    cut = () if end == len(content) else (f"the file ends inside a chunk; what is behind byte {end} is not read",)
    return XdfFile(streams, (*cut, *said.warnings))


class _Listener(logging.Filter):
    """Keeps what pyxdf logs, which would otherwise end on a terminal."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[str] = []
        self.warnings: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        # With jitter left alone its segments are never those of the clock.
        if record.levelno >= logging.ERROR:
            self.errors.append(text)
        elif record.levelno >= logging.WARNING and "Segments and clock-segments differ" not in text:
            self.warnings.append(text)
        return False


def _stream(found: dict[str, Any]) -> XdfStream:
    info = found["info"]
    n_channels = int(info["channel_count"][0])
    channels = _below(info, "desc", "channels").get("channel") or []
    described = [channel for channel in channels if isinstance(channel, dict)]
    whole = len(described) == n_channels
    times = np.asarray(found["time_stamps"], dtype=np.float64)
    clock = info.get("clock_segments") or []
    try:
        speed = float(_text(_below(info, "desc", "bmi_decoder"), "speed"))
    except ValueError:
        speed = 1.0
    rate_hz = float(info["nominal_srate"][0])
    return XdfStream(
        name=_text(info, "name"),
        type=_text(info, "type"),
        format=_text(info, "channel_format"),
        n_channels=n_channels,
        rate_hz=rate_hz if np.isfinite(rate_hz) and rate_hz > 0 else 0.0,
        labels=tuple(_text(channel, "label") for channel in described) if whole else (),
        units=tuple(_text(channel, "unit") for channel in described) if whole else (),
        times=times,
        values=found["time_series"],
        resets=tuple(int(start) for start, _ in clock[1:]),
        speed=speed if 0 < speed < 1e6 else 1.0,
    )


def _below(node: Any, *names: str) -> dict[str, Any]:
    """A child of the description as pyxdf gives it: every element a list of its kind; empty if there is none."""
    for name in names:
        children = node.get(name) if isinstance(node, dict) else None
        node = children[0] if isinstance(children, list) and children else None
    return node if isinstance(node, dict) else {}


def _text(node: dict[str, Any], name: str) -> str:
    values = node.get(name) or [""]
    return values[0] if isinstance(values[0], str) else ""
