"""What is still fit for a session."""

from __future__ import annotations

from pydantic import Field

from bmi_decoder.config import Settings
from services.ingest.expectation import RATE_TOLERANCE
from services.ingest.grid import SampleGrid


class Limits(Settings):
    """Where a check begins to fail; every one can be set in the manifest."""

    deadline: float = Field(1.0, gt=0, description="Time from push to estimate that is late, as a multiple of a bin.")
    deadline_misses: float = Field(0.001, ge=0, le=1, description="Share of estimates that may be late.")
    rate: float = Field(RATE_TOLERANCE, gt=0, le=1, description="Relative difference between actual and nominal rate.")
    lost_samples: int = Field(0, ge=0, description="Samples that a stream may lose while it is watched.")
    stamp_jitter: float = Field(
        0.5,
        gt=0,
        description="99th percentile of the stamps' deviation from a regular grid, as a share of the time between two "
        f"samples; at {SampleGrid.threshold:g} a session takes it for a gap.",
    )
    clock_movement_ms: float = Field(1.0, gt=0, description="How far a clock offset may move while it is watched.")
    free_gb: float = Field(2.0, ge=0, description="Free space of the data directory, at least.")
    recording_hours: float = Field(4.0, ge=0, description="Hours of all streams that must fit there beside it.")
    write_mb_s: float = Field(20.0, gt=0, description="Slowest write to the data directory, synchronised, MB/s.")
    free_memory_gb: float = Field(1.0, ge=0, description="Memory that must be available.")
    realtime: bool = Field(False, description="Fail, and not only warn, where scheduling rights are refused.")
