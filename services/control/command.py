"""The `serve` command."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
import uvloop
from pydantic import SecretStr

from bmi_decoder.errors import BmiError, InputError
from services.control.logs import configure_logs
from services.control.settings import TOKEN_VARIABLE, ControlSettings, check_access, resolve
from services.data_directory import DATA_VARIABLE, default_data_dir

if TYPE_CHECKING:
    from fastapi import FastAPI

DATABASE_VARIABLE = "BMI_DATABASE"
_CLOSE_REQUESTS_S = 3


def register(subparsers: Any) -> None:
    """Add ``serve`` to an argparse command line."""
    parser = subparsers.add_parser(
        "serve",
        help="run the control plane: REST, and the sessions behind it",
        description="Run the control plane. Sessions that were running when it ended run again.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port, 0 for a free one (default %(default)s)")
    parser.add_argument(
        "--data-dir",
        type=Path,
        help=f"where decoders and sessions are kept (default ${DATA_VARIABLE}, or per user)",
    )
    parser.add_argument(
        "--database",
        metavar="URL",
        help=f"postgresql://... for one elsewhere (default ${DATABASE_VARIABLE}, or a file in the data directory)",
    )
    parser.add_argument(
        "--lsl",
        metavar="lab|loopback|PATH",
        help="LSL configuration (default: $LSLAPICFG, or lab)",
    )
    parser.add_argument(
        "--upload-stall",
        type=float,
        default=30.0,
        metavar="S",
        help="give up an upload that brings less than 64 KiB in S seconds (default %(default)g)",
    )
    parser.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="of the log on standard error (default %(default)s)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM.

    Raises
    ------
    BmiError
        If the port or the data directory is taken, or access would be open to other machines.
    """
    from services.ingest.lsl import configure_lsl

    if not 0 <= args.port <= 65535:
        raise BmiError(f"port must be 0 to 65535, got {args.port}")
    if not args.upload_stall > 0:
        raise InputError(f"--upload-stall must be more than 0 seconds, got {args.upload_stall:g}")
    configure_lsl(args.lsl)
    # Taken out: workers, recorders and jobs inherit the environment, and none of them needs it.
    token = os.environ.pop(TOKEN_VARIABLE, None)
    settings = ControlSettings(
        data_dir=args.data_dir or default_data_dir(),
        database=args.database or os.environ.get(DATABASE_VARIABLE) or None,
        host=args.host,
        port=args.port,
        token=SecretStr(token) if token else None,
        upload_stall_s=args.upload_stall,
    )
    check_access(settings)
    configure_logs(args.log_format)

    from services.control.app import create_app

    with _listen(settings.host, settings.port) as listening:
        serving = _serve(create_app(settings), listening, _url(settings.host, listening))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serving)
    return 0


class _Server(uvicorn.Server):
    """Uvicorn that says when it accepts connections, ends streams when it closes, and leaves signals to us."""

    def __init__(self, config: uvicorn.Config, url: str, end_streams: Callable[[], None]) -> None:
        super().__init__(config)
        self.url, self.end_streams = url, end_streams

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(f"bmi-decoder serving on {self.url}  (docs: {self.url}/docs)", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.end_streams()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(app: FastAPI, listening: socket.socket, url: str) -> None:
    """Run the application; its lifespan is entered here so that its errors reach the user as they are."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=_CLOSE_REQUESTS_S,
    )
    server = _Server(config, url, lambda: app.state.control.events.close())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, setattr, server, "should_exit", True)
    async with app.router.lifespan_context(app):
        await server.serve(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket, taken before anything else so that a taken port leaves nothing behind."""
    family, address = resolve(host, port)
    # With its protocol: asyncio sends small answers at once only where a socket says that it speaks TCP.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise BmiError(
            f"cannot listen on {host}:{port}: {error.strerror}; stop what uses that port, or give another "
            "with --port (0 picks a free one)"
        ) from None
    return listening


def _url(host: str, listening: socket.socket) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
