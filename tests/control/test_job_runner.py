"""Jobs as processes, with kinds that need no torch."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy.exc import OperationalError

from bmi_decoder.events import JobEvent
from bmi_decoder.jobs import JobInfo, TrainRequest
from services.control.events.log import EventLog
from services.control.jobs import process as job_process
from services.control.jobs import runner as job_runner
from services.control.jobs.kind import Stage
from services.control.jobs.process import NICENESS
from services.control.jobs.runner import JobRunner
from services.control.rest.problem import Problem
from services.control.storage.database import Database
from services.control.storage.job_store import JobStore
from services.control.storage.places import DataDirectory
from services.control.storage.tables import JobRow

QUICK = """
import json, os, sys
for done in (0.0, 0.5, 1.0):
    print(json.dumps({"progress": done, "message": f"at {done}"}), flush=True)
print("no JSON")
open(sys.argv[1], "w").write(str(os.nice(0)))
"""
ENDLESS = """
import json, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(json.dumps({"progress": 0.25, "message": str(child.pid)}), flush=True)
time.sleep(600)
"""
REQUEST = TrainRequest(kind="train", recording="r", decoder="d")


class Scripted:
    """A kind of job made of Python scripts."""

    def __init__(self, *scripts: str) -> None:
        self.scripts = scripts

    def check(self, request: TrainRequest) -> None:
        if request.recording == "refused":
            raise Problem(422, "refused")

    def stages(self, request: TrainRequest, folder: Path) -> list[Stage]:
        share = 1 / len(self.scripts)
        return [Stage(("-c", script, str(folder / f"out{i}")), share) for i, script in enumerate(self.scripts)]

    async def finish(self, request: TrainRequest, folder: Path) -> dict[str, Any]:
        return {"nice": [int(path.read_text()) for path in sorted(folder.glob("out*"))]}


class Plane:
    """What a control plane has of jobs."""

    def __init__(self, root: Path, *scripts: str) -> None:
        self.places = DataDirectory.create(root, serves=False)
        self.database = Database(f"sqlite:///{self.places.database}")
        self.store, self.events = JobStore(self.database), EventLog()
        self.runner = JobRunner({"train": Scripted(*scripts)}, self.places, self.store, self.events)

    async def until(self, job: JobInfo, condition: Callable[[JobInfo], bool]) -> JobInfo:
        """Wait for a state of a job, and for the event that tells of it, which comes after it."""
        async with asyncio.timeout(30):
            while not condition(info := self.info(job.id)) or self.told()[-1].state != info.state:
                await asyncio.sleep(0.01)
        return info

    def info(self, job_id: str) -> JobInfo:
        row = self.store.job(job_id)
        assert row is not None
        return self.runner.info(row)

    def told(self) -> list[JobEvent]:
        return [event for event in self.events._events if isinstance(event, JobEvent)]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    def run_(work: Callable[[Plane], Awaitable[Any]], *scripts: str) -> Any:
        async def whole() -> Any:
            plane = Plane(tmp_path / "data", *scripts)
            await plane.runner.open()
            try:
                return await work(plane)
            finally:
                await plane.runner.close()
                plane.database.close()

        return asyncio.run(whole())

    yield run_


def ended(info: JobInfo) -> bool:
    return info.state in ("done", "failed", "cancelled")


def test_stages_follow_each_other_at_low_priority(run: Callable[..., Any]) -> None:
    async def work(plane: Plane) -> None:
        job = await plane.until(await plane.runner.submit(REQUEST), ended)
        assert (job.state, job.progress, job.error) == ("done", 1.0, None)
        assert job.result == {"nice": [NICENESS, NICENESS]}
        assert list(plane.places.jobs.iterdir()) == []
        told = plane.told()
        assert [told[0].state, told[-1].state] == ["queued", "done"]
        assert [event.progress for event in told] == sorted(event.progress for event in told)

    run(work, QUICK, QUICK)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("import sys; print('first'); sys.exit('what is wrong')", "what is wrong"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import os; os.kill(os.getpid(), 9)", "signal 9"),
        ("import sys; sys.exit(3)", "status 3"),
        ("print('x' * 2_000_000)", "too long"),
    ],
)
def test_a_failure_says_why_and_leaves_no_files(run: Callable[..., Any], script: str, words: str) -> None:
    async def work(plane: Plane) -> None:
        job = await plane.until(await plane.runner.submit(REQUEST), ended)
        assert job.state == "failed"
        assert job.error is not None and words in job.error
        assert list(plane.places.jobs.iterdir()) == []

    run(work, script)


def test_an_end_that_cannot_be_stored_is_stored_later(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_runner, "_FAULT_PAUSE_S", 0.01)

    async def work(plane: Plane) -> None:
        failing, change = iter(range(3)), plane.store.change

        def unreliable(job_id: str, where: Collection[str], **values: Any) -> JobRow | None:
            if "running" in where and next(failing, None) is not None:
                raise OperationalError("UPDATE jobs", {}, OSError("disk full"))
            return change(job_id, where, **values)

        monkeypatch.setattr(plane.store, "change", unreliable)
        job = await plane.runner.submit(REQUEST)
        assert (await plane.until(job, ended)).state == "done"
        assert next(failing, None) is None
        assert (await plane.until(await plane.runner.submit(REQUEST), ended)).state == "done"

    run(work, QUICK)


@pytest.mark.parametrize("progress", ["NaN", "-1", "7", "Infinity"])
def test_progress_is_from_0_to_1(progress: str) -> None:
    said = job_process._progress(f'{{"progress": {progress}}}'.encode())
    assert said is None if progress == "NaN" else said is not None and 0 <= said[0] <= 1


def test_a_refused_request_makes_no_job(run: Callable[..., Any]) -> None:
    async def work(plane: Plane) -> None:
        with pytest.raises(Problem):
            await plane.runner.submit(REQUEST.model_copy(update={"recording": "refused"}))
        assert plane.store.in_state("queued", "running", "failed") == []

    run(work, QUICK)


def test_cancelling_leaves_nothing_behind(run: Callable[..., Any]) -> None:
    async def work(plane: Plane) -> None:
        running = await plane.until(await plane.runner.submit(REQUEST), lambda info: info.progress > 0)
        queued = await plane.runner.submit(REQUEST)
        child = psutil.Process(int(running.message))
        assert await plane.runner.cancel(queued.id) is not None
        assert await plane.runner.cancel(running.id) is not None
        assert [plane.info(job.id).state for job in (running, queued)] == ["cancelled", "cancelled"]
        assert list(plane.places.jobs.iterdir()) == []
        await asyncio.to_thread(lambda: psutil.wait_procs([child], 10))
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
        # Again: the same answer. And the next one runs.
        assert await plane.runner.cancel(running.id) is not None
        following = await plane.until(await plane.runner.submit(REQUEST), lambda info: info.progress > 0)
        assert following.state == "running"

    run(work, ENDLESS)


def test_what_has_ended_cannot_be_cancelled(run: Callable[..., Any]) -> None:
    async def work(plane: Plane) -> None:
        job = await plane.until(await plane.runner.submit(REQUEST), ended)
        assert await plane.runner.cancel(job.id) is None
        assert plane.info(job.id).state == "done"

    run(work, QUICK)


def test_a_closing_control_plane_ends_what_runs_and_keeps_what_is_queued(run: Callable[..., Any]) -> None:
    async def first(plane: Plane) -> list[str]:
        running = await plane.until(await plane.runner.submit(REQUEST), lambda info: info.progress > 0)
        return [running.id, (await plane.runner.submit(REQUEST)).id]

    ids = run(first, ENDLESS)

    async def second(plane: Plane) -> None:
        interrupted = plane.info(ids[0])
        assert interrupted.state == "failed" and "interrupted" in (interrupted.error or "")
        assert (await plane.until(plane.info(ids[1]), ended)).state == "done"

    run(second, QUICK)


def test_a_job_of_a_control_plane_that_was_killed_is_ended(run: Callable[..., Any], tmp_path: Path) -> None:
    places = DataDirectory.create(tmp_path / "data", serves=False)
    database = Database(f"sqlite:///{places.database}")
    JobStore(database).add(JobRow(id="old", kind="train", state="running", request=json.loads("{}"), created_at="0"))
    database.close()
    (places.jobs / "old").mkdir()
    # A process of the same name that works for another job is left alone.
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    left = subprocess.Popen([*command, str(places.jobs / "old" / "order.json")], start_new_session=True)
    other = subprocess.Popen([*command, str(places.jobs / "older" / "order.json")], start_new_session=True)

    async def work(plane: Plane) -> None:
        assert plane.info("old").state == "failed"
        assert "interrupted" in (plane.info("old").error or "")
        assert list(plane.places.jobs.iterdir()) == []

    try:
        run(work, QUICK)
        left.wait(10)
        assert other.poll() is None
    finally:
        for process in (left, other):
            process.kill()
            process.wait()


def test_what_was_finished_when_the_control_plane_was_killed_is_kept(run: Callable[..., Any], tmp_path: Path) -> None:
    places = DataDirectory.create(tmp_path / "data", serves=False)
    database = Database(f"sqlite:///{places.database}")
    request = REQUEST.model_dump(mode="json")
    store = JobStore(database)
    store.add(JobRow(id="all", kind="train", state="running", request=request, created_at="0"))
    store.add(
        JobRow(id="kept", kind="train", state="running", request=request, result={"decoder": "d"}, created_at="1")
    )
    database.close()
    for job in ("all", "kept"):
        (places.jobs / job).mkdir()
    (places.jobs / "all" / "finished").touch()
    (places.jobs / "all" / "out0").write_text("3")

    async def work(plane: Plane) -> None:
        assert (plane.info("all").state, plane.info("all").result) == ("done", {"nice": [3]})
        assert (plane.info("kept").state, plane.info("kept").result) == ("done", {"decoder": "d"})
        assert list(plane.places.jobs.iterdir()) == []

    run(work, QUICK)
