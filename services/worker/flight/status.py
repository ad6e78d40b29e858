"""A worker's state and counters, as its flight recorder tells them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bmi_decoder.stream_health import ChannelHealth, StreamHealth


@dataclass(frozen=True)
class WorkerStatus:
    """A worker's state and counters.

    Attributes
    ----------
    state : str
        Name of a `WorkerState`.
    message : str
        Why it is in that state; empty when all is well.
    endpoint : str
        Where it publishes; empty before it is bound.
    server_key : str
        The CURVE key that subscribers must know; empty where nothing is encrypted.
    bins_in, bins_decoded, bins_lost, bins_duplicated, bins_invalid : int
        Bins received complete; estimates published; bins missing in the stream; samples whose place was already
        taken; bins with input or output that was not finite.
    last_bin_age_s : float or None
        Seconds since the last bin.
    clock_offset_s : float or None
        What takes a stamp of the sender's clock to ours, within the last second; None without a stream.
    samples_waiting : int or None
        Samples that had come and were not pulled then.
    realtime : list of dict
        Each a `RealtimeGrant`.
    stream : StreamHealth
    channels : ChannelHealth
    """

    state: str
    message: str
    endpoint: str
    server_key: str
    pid: int
    revision: int
    bins_in: int
    bins_decoded: int
    bins_lost: int
    bins_duplicated: int
    bins_invalid: int
    last_bin_age_s: float | None
    clock_offset_s: float | None
    samples_waiting: int | None
    realtime: list[dict[str, Any]]
    stream: StreamHealth
    channels: ChannelHealth

    def plain(self) -> dict[str, Any]:
        """All of it as numbers, texts, lists and dictionaries."""
        return asdict(self) | {"stream": self.stream.model_dump(), "channels": self.channels.model_dump()}
