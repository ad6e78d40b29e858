"""What a flight recorder tells of the last minute, in figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.wire import Flag
from services.percentiles import percentiles

STAGES = ("lsl", "decode", "pack", "send")
"""End of the bin to sample in hand; binning, filters and decoder; decision and message; ZeroMQ's send."""

_MOMENTS = ("t_source", "t_pulled", "t_decoded", "t_publish", "t_sent")
_N_SLOWEST = 5
_FILLED = int(Flag.HELD | Flag.ZEROED)


def summarise(records: npt.NDArray[np.void]) -> dict[str, Any]:
    """Figures of a `FlightReader`'s records.

    Parameters
    ----------
    records : structured array
        As `FlightReader.records` returns them.

    Returns
    -------
    dict
        ``bins``; without any, nothing else. ``seconds`` from first to last publication; ``latency_us`` and
        ``stages_us`` with percentiles over the bins that were not filled in; ``flags`` with the number of bins of each
        flag that was set; ``revisions`` with the first sequence number of each, in order; ``gaps``, runs of filled
        bins with the sequence number where they begin and how many; ``slowest``, the bins with the highest latency.
    """
    # A damaged file has times of any size.
    with np.errstate(over="ignore", invalid="ignore"):
        return _figures(records)


def stage_figures(records: npt.NDArray[np.void]) -> dict[str, Any]:
    """``latency_us`` and ``stages_us`` of records of which none was filled in, and one at least is there."""
    stages = {name: percentiles(values) for name, values in zip(STAGES, _stages(records), strict=True)}
    return {"latency_us": percentiles(_latency_us(records)), "stages_us": stages}


def _figures(records: npt.NDArray[np.void]) -> dict[str, Any]:
    figures: dict[str, Any] = {"bins": len(records)}
    if not len(records):
        return figures
    flags = records["flags"]
    real = records[(flags & _FILLED) == 0]
    figures["seconds"] = float(records["t_publish"][-1] - records["t_publish"][0])
    figures["sequence"] = [int(records["sequence"][0]), int(records["sequence"][-1])]
    if len(real):
        latency = _latency_us(real)
        figures |= stage_figures(real)
        figures["slowest"] = [_bin(real[i]) for i in np.argsort(-latency, kind="stable")[:_N_SLOWEST]]
    figures["flags"] = {str(flag.name).lower(): n for flag in Flag if (n := int(np.count_nonzero(flags & int(flag))))}
    figures["revisions"] = _revisions(records)
    figures["gaps"] = _gaps(records)
    return figures


def _latency_us(records: npt.NDArray[np.void]) -> npt.NDArray[np.float64]:
    latency: npt.NDArray[np.float64] = (records["t_publish"] - records["t_source"]) * 1e6
    return latency


def _stages(records: npt.NDArray[np.void]) -> Sequence[npt.NDArray[np.float64]]:
    moments = np.stack([records[name] for name in _MOMENTS])
    return list(np.diff(moments, axis=0) * 1e6)


def _bin(record: np.void) -> dict[str, Any]:
    one = np.array([record])
    stages = {name: round(float(values[0]), 1) for name, values in zip(STAGES, _stages(one), strict=True)}
    return {
        "sequence": int(record["sequence"]),
        "t_source": float(record["t_source"]),
        "latency_us": round(float(_latency_us(one)[0]), 1),
        "stages_us": stages,
    }


def _revisions(records: npt.NDArray[np.void]) -> list[dict[str, int]]:
    revisions = records["revision"]
    starts = np.flatnonzero(np.diff(revisions, prepend=revisions[0] - 1))
    return [{"revision": int(revisions[i]), "from_sequence": int(records["sequence"][i])} for i in starts]


def _gaps(records: npt.NDArray[np.void]) -> list[dict[str, int]]:
    filled = (records["flags"] & _FILLED) != 0
    edges = np.flatnonzero(np.diff(filled.astype(np.int8), prepend=0, append=0))
    return [
        {"from_sequence": int(records["sequence"][start]), "bins": int(end - start)}
        for start, end in zip(edges[::2], edges[1::2], strict=True)
    ]
