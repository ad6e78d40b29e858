from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

from services.dashboard.activity import ChannelActivity
from services.dashboard.estimates import EstimateFeed, latency_figures
from services.dashboard.frame import pack_frame
from services.worker.flight.writer import FlightWriter

BIN_S = 0.004


def write(flight: FlightWriter, start: int, stop: int) -> None:
    for i in range(start, stop):
        t = 100.0 + i * BIN_S
        flight.record(i, i, t, t + 1e-4, t + 2e-4, t + 3e-4, t + 4e-4, 4 if i == 1 else 0, 1, (float(i), -float(i)))


def test_estimates_come_once_and_thinned(tmp_path: Path) -> None:
    flight = FlightWriter(tmp_path / "flight", BIN_S, 2, 1)
    feed = EstimateFeed(tmp_path / "flight", BIN_S)
    assert feed.new() is None
    write(flight, 0, 10)
    pid = int(np.frombuffer((tmp_path / "flight").read_bytes()[20:24], "<u4")[0])
    assert not feed.follow(pid + 1)
    assert feed.follow(pid)
    assert not feed.follow(pid)
    assert feed.stride == 4
    first = feed.new()
    assert first is not None and first["sequence"].tolist() == [0, 4, 8]
    write(flight, 10, 13)
    history = feed.history(1.0)
    assert history is not None and history["sequence"].tolist() == [0, 4, 8]
    second = feed.new()
    assert second is not None and second["outputs"].tolist() == [[12.0, -12.0]]
    records = feed.minute()
    figures = None if records is None else latency_figures(records)
    assert figures is not None
    assert (figures["bins"], figures["filled"], sum(figures["counts"])) == (12, 1, 12)
    assert abs(figures["latency_us"]["p50"] - 300) < 1
    feed.close()
    flight.close()


def test_a_page_that_comes_late_gets_seconds_not_the_minute(tmp_path: Path) -> None:
    flight = FlightWriter(tmp_path / "flight", BIN_S, 2, 1)
    write(flight, 0, 15_000)
    feed = EstimateFeed(tmp_path / "flight", BIN_S)
    feed.follow(int(np.frombuffer((tmp_path / "flight").read_bytes()[20:24], "<u4")[0]))
    new = feed.new()
    assert new is not None and len(new) == 625
    feed.close()
    flight.close()


def test_activity_does_not_depend_on_how_samples_come() -> None:
    rng = np.random.default_rng(0)
    stamps = 50.0 + np.arange(500) * BIN_S
    samples = rng.poisson(0.5, (500, 3)).astype(np.float32)
    whole, pieces = ChannelActivity(3, BIN_S), ChannelActivity(3, BIN_S)
    whole.add(stamps, samples)
    at = 0
    while at < 500:
        n = int(rng.integers(0, 30))
        pieces.add(stamps[at : at + n], samples[at : at + n])
        at += n
    assert whole.n_done == 19
    for one, other in zip(whole.since(0), pieces.since(0), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(whole.since(0)[1][0], samples[:25].sum(axis=0) / 0.1, rtol=1e-6)


def test_missing_samples_leave_columns_out_and_rates_right() -> None:
    activity = ChannelActivity(1, BIN_S)
    stamps = 50.0 + np.concatenate([np.arange(10), np.arange(100, 130)]) * BIN_S
    activity.add(stamps, np.ones((40, 1), np.float32))
    starts, rates = activity.since(0)
    np.testing.assert_allclose(starts, [50.0, 50.4])
    np.testing.assert_allclose(rates, 250.0)


def test_frame_is_what_the_browser_expects() -> None:
    frame = pack_frame({"kind": "samples"}, {"t": np.array([1.5]), "values": np.array([[1, 2, 3]], np.float32)})
    (length,) = struct.unpack_from("<I", frame)
    header = json.loads(frame[4 : 4 + length])
    assert header == {"kind": "samples", "arrays": [["t", "f8", [1]], ["values", "f4", [1, 3]]]}
    at = -(-(4 + length) // 8) * 8
    assert struct.unpack_from("<d3f", frame, at) == (1.5, 1.0, 2.0, 3.0)
