"""Prometheus metrics, computed when they are asked for; names are ``bmi_<noun>_<unit>``, in base units."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import get_args

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import DatabaseError

from bmi_decoder.events import HealthEvent, RecordingEvent, SwapEvent, SwapOutcome
from bmi_decoder.jobs import JobState
from bmi_decoder.rest_models import SessionState, SessionStatus
from bmi_decoder.stream_health import STREAM_STATES
from services.control.events.log import EventLog
from services.control.metrics.figures import Figures, Histogram
from services.control.sessions.supervisor import Supervisor
from services.control.storage.job_store import JobStore
from services.control.storage.store import Store

_READ_S = 20.0
"""Flight recorders hold a minute: read this often, none of it is lost, whoever scrapes and how rarely."""

_log = logging.getLogger(__name__)

_COUNTERS = {
    "bins_in": ("bmi_samples_received", "Bins received complete, since the worker started."),
    "bins_decoded": ("bmi_estimates_published", "Estimates published, since the worker started."),
    "bins_lost": ("bmi_gap_samples", "Bins missing in the stream, since the worker started."),
    "bins_duplicated": ("bmi_duplicate_samples", "Samples whose place was taken, since the worker started."),
    "bins_invalid": ("bmi_invalid_samples", "Bins whose input or output was not finite, since the worker started."),
    "restarts": ("bmi_worker_restarts", "Times the worker died and was started again, since the last start."),
}


@dataclass(frozen=True)
class _Families(Collector):
    """What one answer consists of."""

    metrics: list[Metric]

    def collect(self) -> Iterator[Metric]:
        yield from self.metrics


class Metrics:
    """Adds up what sessions do. All methods run in one event loop.

    Parameters
    ----------
    store : Store
    job_store : JobStore
    supervisor : Supervisor
    events : EventLog
    version : str
    """

    def __init__(
        self, store: Store, job_store: JobStore, supervisor: Supervisor, events: EventLog, version: str
    ) -> None:
        self._store, self._job_store, self._supervisor, self._events = store, job_store, supervisor, events
        self._version = version
        self._figures: dict[str, Figures] = {}
        self._swaps: Counter[tuple[str, str]] = Counter()
        self._health: Counter[tuple[str, str]] = Counter()
        self._alarms: Counter[str] = Counter()
        self._alarm: dict[str, str] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep count for the length of an ``async with`` block."""
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._read_regularly())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def exposition(self, statuses: list[SessionStatus]) -> bytes:
        """All metrics in Prometheus' text format.

        Parameters
        ----------
        statuses : list of SessionStatus
            Of all sessions.
        """
        self._read()
        metrics = [
            *self._of_sessions(statuses),
            *self._of_inlets(),
            *self._of_bins(),
            *self._of_events(),
        ]
        try:
            metrics += self._of_jobs(await asyncio.to_thread(self._job_store.count))
        except DatabaseError as error:
            _log.warning("metrics without jobs, as the database fails: %s", error.orig)
        return generate_latest(_Families(metrics))

    async def _listen(self) -> None:
        async for event in self._events.follow():
            if isinstance(event, SwapEvent) and event.outcome != "started":
                self._swaps[event.session, event.outcome] += 1
            elif isinstance(event, RecordingEvent):
                # An alarm is told again with every later state of its recording.
                if event.message and event.message != self._alarm.get(event.session):
                    self._alarms[event.session] += 1
                self._alarm[event.session] = event.message
            elif isinstance(event, HealthEvent):
                self._health[event.session, event.event] += 1 + event.repeated

    async def _read_regularly(self) -> None:
        while True:
            await asyncio.sleep(_READ_S)
            try:
                self._read()
            except Exception:
                _log.exception("cannot read the flight recorders, trying again")

    def _read(self) -> None:
        """Take in what is new in the flight recorders."""
        rows = {row.name: row for row in self._store.sessions()}
        for name in self._figures.keys() - rows.keys():
            del self._figures[name]
        for name, session in self._supervisor.sessions.items():
            found = session.records() if name in rows else None
            if found is not None:
                self._figures.setdefault(name, Figures()).add(*found, rows[name].bin_s)

    def _of_sessions(self, statuses: list[SessionStatus]) -> Iterator[Metric]:
        build = GaugeMetricFamily("bmi_build_info", "1, with the version of the service.", labels=["version"])
        build.add_metric([self._version], 1)
        yield build
        state = GaugeMetricFamily(
            "bmi_session_state", "1 for the state that a session is in, 0 for others.", labels=["session", "state"]
        )
        stream = GaugeMetricFamily(
            "bmi_stream_state",
            "1 for the state that a session's stream is in, 0 for others.",
            labels=["session", "state"],
        )
        lag = GaugeMetricFamily(
            "bmi_stream_lag_seconds",
            "How much later the newest samples came than the quickest of the connection.",
            labels=["session"],
        )
        channels = GaugeMetricFamily(
            "bmi_channels",
            "Channels that are masked, and others that are not as they should be.",
            labels=["session", "state"],
        )
        wanted = GaugeMetricFamily("bmi_session_wanted", "Whether a session should run.", labels=["session"])
        age = GaugeMetricFamily("bmi_sample_age_seconds", "Time since the newest bin.", labels=["session"])
        model = GaugeMetricFamily(
            "bmi_model_info", "1, with the decoder that a session uses.", labels=["session", "decoder", "revision"]
        )
        for status in statuses:
            wanted.add_metric([status.name], status.wanted)
            model.add_metric([status.name, status.decoder, str(status.revision)], 1)
            for known in get_args(SessionState):
                state.add_metric([status.name, known], status.state == known)
            if status.last_bin_age_s is not None:
                age.add_metric([status.name], status.last_bin_age_s)
            if status.stream is not None:
                for one in STREAM_STATES:
                    stream.add_metric([status.name, one], status.stream.state == one)
                if status.stream.lag_s is not None:
                    lag.add_metric([status.name], status.stream.lag_s)
            for name, n in {} if status.channels is None else status.channels.counted().items():
                channels.add_metric([status.name, name], n)
        yield from (state, stream, lag, channels, wanted, age, model)
        for field, (name, meaning) in _COUNTERS.items():
            counter = CounterMetricFamily(name, meaning, labels=["session"])
            for status in statuses:
                counter.add_metric([status.name], getattr(status, field))
            yield counter

    def _of_inlets(self) -> Iterator[Metric]:
        offset = GaugeMetricFamily(
            "bmi_clock_offset_seconds",
            "What takes a stamp of the sender's clock to the local one, as LSL has measured it within seconds.",
            labels=["session"],
        )
        waiting = GaugeMetricFamily(
            "bmi_queue_depth",
            "Samples that had come and not been taken, when a worker last looked.",
            labels=["session"],
        )
        for name, session in sorted(self._supervisor.sessions.items()):
            said = session.report() if session.alive else None
            if said is not None and said.clock_offset_s is not None and said.samples_waiting is not None:
                offset.add_metric([name], said.clock_offset_s)
                waiting.add_metric([name], said.samples_waiting)
        yield from (offset, waiting)

    def _of_bins(self) -> Iterator[Metric]:
        latency = HistogramMetricFamily(
            "bmi_end_to_end_latency_seconds", "From the end of a bin to its publication.", labels=["session"]
        )
        stages = HistogramMetricFamily(
            "bmi_stage_duration_seconds", "Stages of a bin: receive, decode, publish.", labels=["session", "stage"]
        )
        late = CounterMetricFamily(
            "bmi_deadline_missed", "Estimates published more than one bin behind their data.", labels=["session"]
        )
        for name, figures in self._figures.items():
            _add(latency, [name], figures.latency)
            late.add_metric([name], figures.late)
            for stage, histogram in figures.stages.items():
                _add(stages, [name, stage], histogram)
        yield from (latency, stages, late)

    def _of_events(self) -> Iterator[Metric]:
        swaps = CounterMetricFamily("bmi_model_swaps", "Swaps by their outcome.", labels=["session", "result"])
        for name in sorted(self._supervisor.sessions):
            for outcome in get_args(SwapOutcome):
                if outcome != "started":
                    swaps.add_metric([name, outcome], self._swaps[name, outcome])
        health = CounterMetricFamily("bmi_health_events", "Health events by kind.", labels=["session", "event"])
        for key, count in sorted(self._health.items()):
            health.add_metric(list(key), count)
        alarms = CounterMetricFamily(
            "bmi_recording_alarms",
            "Alarms of recorders: a recording that ended by itself, for example.",
            labels=["session"],
        )
        for name in sorted(self._supervisor.sessions):
            alarms.add_metric([name], self._alarms[name])
        yield from (swaps, health, alarms)

    def _of_jobs(self, counts: dict[str, int]) -> Iterator[Metric]:
        jobs = GaugeMetricFamily("bmi_jobs", "Jobs by their state.", labels=["state"])
        for state in get_args(JobState):
            jobs.add_metric([state], counts.get(state, 0))
        yield jobs


def _add(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    family.add_metric(labels, buckets=histogram.cumulative(), sum_value=histogram.total_s)
