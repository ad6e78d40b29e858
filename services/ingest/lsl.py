"""How this process uses LabStreamingLayer: its configuration, and what is visible on the network."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bmi_decoder.errors import InputError

if TYPE_CHECKING:
    from pylsl import StreamInfo

CONFIGURATIONS = ("lab", "loopback")

ESTIMATE_TYPE = "kinematics_estimate"
"""Type of the streams that sessions publish, which are nobody's input."""

_HERE = Path(__file__).parent


def configure_lsl(choice: str | None = None) -> Path:
    """Choose the LSL configuration of this process and of those it starts.

    Parameters
    ----------
    choice : str, optional
        ``lab``, ``loopback``, or the path of a configuration file. None keeps what ``LSLAPICFG`` names, or
        takes ``lab``.

    Returns
    -------
    Path
        The configuration in force, also in ``LSLAPICFG``.

    Raises
    ------
    InputError
        If there is no such file.
    RuntimeError
        If liblsl is loaded already: it reads its configuration once.
    """
    if "pylsl" in sys.modules:
        raise RuntimeError("configure_lsl must run before pylsl is imported")
    wanted = choice or os.environ.get("LSLAPICFG") or "lab"
    path = _shipped(wanted) if wanted in CONFIGURATIONS else Path(wanted)
    if not path.is_file():
        raise InputError(f"no LSL configuration {wanted!r}: give {', '.join(CONFIGURATIONS)} or the path of a file")
    os.environ["LSLAPICFG"] = str(path.resolve())
    return path


def _shipped(name: str) -> Path:
    """In an installed package beside this file; in a checkout, editable or not, where deploy/ keeps it."""
    installed = _HERE / "lsl_config" / f"{name}.cfg"
    return installed if installed.is_file() else _HERE.parents[1] / "deploy" / "lsl" / f"{name}.cfg"


@dataclass(frozen=True)
class VisibleStream:
    """A stream that LSL shows now."""

    name: str
    type: str
    n_channels: int
    rate_hz: float
    source_id: str
    hostname: str
    channel_format: str

    def __str__(self) -> str:
        return f"{self.name!r} (type {self.type!r}, {self.n_channels} channels, {self.rate_hz:g} Hz)"


def visible_streams(wait_s: float) -> list[VisibleStream]:
    """All streams that answer within `wait_s` seconds, ordered by name."""
    import pylsl

    return sorted((describe(info) for info in pylsl.resolve_streams(wait_s)), key=lambda s: (s.name, s.source_id))


def describe(info: StreamInfo) -> VisibleStream:
    """What a resolved stream says of itself."""
    from pylsl.lib import fmt2string

    return VisibleStream(
        info.name(),
        info.type(),
        info.channel_count(),
        info.nominal_srate(),
        info.source_id(),
        info.hostname(),
        fmt2string[info.channel_format()],
    )
