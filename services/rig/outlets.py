"""The two LSL outlets of a rig: neural counts, and the true movement."""

from __future__ import annotations

import pylsl

from services.ingest.description import RigDescription, write_description
from services.rig.source import Source

KINEMATICS_SUFFIX = "-kinematics"


def open_outlets(source: Source, stream: str, speed: float, source_id: str) -> tuple[pylsl.StreamOutlet, ...]:
    """Neural outlet (type ``spikes``, float32 counts) and kinematics outlet (type ``kinematics``, double64).

    A replay at `speed` declares that multiple of its rate, and says so in its description.
    """
    rate_hz = speed / source.bin_s
    description = RigDescription(speed)
    neural = pylsl.StreamInfo(stream, "spikes", len(source.labels), rate_hz, "float32", source_id)
    write_description(neural, description, source.labels, ["spikes"] * len(source.labels))
    kinematics = pylsl.StreamInfo(
        stream + KINEMATICS_SUFFIX,
        "kinematics",
        len(source.outputs),
        rate_hz,
        "double64",
        source_id + KINEMATICS_SUFFIX,
    )
    write_description(kinematics, description, [o.name for o in source.outputs], [o.unit for o in source.outputs])
    return pylsl.StreamOutlet(neural, chunk_size=1), pylsl.StreamOutlet(kinematics, chunk_size=1)
