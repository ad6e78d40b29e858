"""What a latency measurement compares: our worker, the floor, and peers, each a process of its own."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from bmi_decoder.bundle import Bundle, write_bundle
from bmi_decoder.config import RealtimeSettings, SessionSettings, StreamSettings, WorkerSettings
from bmi_decoder.errors import InputError
from services.processes import free_port

FLOOR = "floor"


@dataclass(frozen=True)
class Lane:
    """One way from an LSL stream to a ZeroMQ endpoint.

    Attributes
    ----------
    name : str
    stream : str
        The LSL stream that feeds it.
    endpoint : str
        Where it publishes.
    arguments : tuple of str
        Its process: arguments to the Python interpreter, or a whole command for a peer.
    flight : Path or None
        Where our worker records its stages.
    """

    name: str
    stream: str
    endpoint: str
    arguments: tuple[str, ...]
    flight: Path | None = None
    is_command: bool = field(default=False)


def floor_lane(stream: str) -> Lane:
    """The relay that decodes nothing."""
    endpoint = _free_endpoint()
    return Lane(FLOOR, stream, endpoint, ("-m", "services.bench.latency.relay", stream, endpoint))


def worker_lane(name: str, stream: str, bundle: Bundle, folder: Path, realtime: RealtimeSettings | None = None) -> Lane:
    """Our worker with a decoder; None is a worker as it comes."""
    endpoint = _free_endpoint()
    path, flight, settings = (folder / f"{stream}.{suffix}" for suffix in ("bmi", "flight", "json"))
    write_bundle(bundle, path)
    session = SessionSettings(
        name=stream,
        stream=StreamSettings(name=stream),
        decoder=name,
        endpoint=endpoint,
        realtime=realtime or RealtimeSettings(),
    )
    worker = WorkerSettings(session=session, bundle=str(path), flight=str(flight))
    settings.write_text(worker.model_dump_json())
    return Lane(name, stream, endpoint, ("-m", "services.worker", str(settings)), flight)


def peer_lane(definition: str, stream: str) -> Lane:
    """A user's own program, from ``NAME=COMMAND`` with ``{stream}`` and ``{endpoint}`` in the command.

    Raises
    ------
    InputError
        If the definition lacks one of them.
    """
    name, separator, command = definition.partition("=")
    if not separator or not name or "{stream}" not in command or "{endpoint}" not in command:
        raise InputError(
            f"a peer is NAME=COMMAND with {{stream}} and {{endpoint}} in the command, got {definition!r}; for example "
            "'mine=python mine.py {stream} {endpoint}'"
        )
    endpoint = _free_endpoint()
    words = tuple(word.format(stream=stream, endpoint=endpoint) for word in shlex.split(command))
    return Lane(name, stream, endpoint, words, is_command=True)


def _free_endpoint() -> str:
    return f"tcp://127.0.0.1:{free_port()}"
