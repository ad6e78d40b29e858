"""What a rig of ours writes into its stream description, and what an inlet reads there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pylsl import StreamInfo

_ELEMENT = "bmi_decoder"


@dataclass(frozen=True)
class RigDescription:
    """How a stream relates to real time.

    Attributes
    ----------
    speed : float
        How many times faster than real time the rig replays; 1 for a live rig.
    """

    speed: float = 1.0


def write_description(
    info: StreamInfo, description: RigDescription, labels: Sequence[str], units: Sequence[str]
) -> None:
    """Add speed, channel labels and units to a stream that is about to be opened."""
    own = info.desc().append_child(_ELEMENT)
    own.append_child_value("speed", repr(description.speed))
    info.set_channel_labels(list(labels))
    info.set_channel_units(list(units))


def read_description(info: StreamInfo) -> RigDescription:
    """The description in a full stream info; a stream of another maker counts as live."""
    text = info.desc().child(_ELEMENT).child_value("speed")
    try:
        speed = float(text)
    except ValueError:
        return RigDescription()
    return RigDescription(speed) if 0 < speed < 1e6 else RigDescription()
