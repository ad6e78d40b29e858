"""A PostgreSQL server of its own for a test, on a Unix socket."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import eventually


@contextmanager
def running() -> Iterator[str]:
    """URL of an empty database."""
    root = Path(tempfile.mkdtemp(prefix="bmi-pg-"))
    # PostgreSQL refuses to run as root.
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    os.chown(root, user.pw_uid, user.pw_gid)
    quiet = {"user": user.pw_uid, "group": user.pw_gid, "cwd": root} if os.geteuid() == 0 else {"cwd": root}
    data = root / "data"
    with (root / "log").open("wb") as log:
        output = {"stdout": log, "stderr": log}
        subprocess.run(
            ["initdb", "-D", data, "-U", "bmi", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"],
            check=True,
            **quiet,
            **output,
        )
        server = subprocess.Popen(
            ["postgres", "-D", data, "-k", root, "-c", "listen_addresses=", "-c", "fsync=off"], **quiet, **output
        )
    try:
        eventually(lambda: subprocess.run(["pg_isready", "-q", "-h", root]).returncode, lambda status: status == 0)
        yield f"postgresql://bmi@/postgres?host={root}"
    finally:
        # Fast shutdown: a server that is killed leaves its shared memory.
        server.send_signal(signal.SIGINT)
        try:
            server.wait(30)
        finally:
            server.kill()
            shutil.rmtree(root)


def installed() -> bool:
    """Whether there is a PostgreSQL server on this machine."""
    return all(shutil.which(program) for program in ("initdb", "postgres", "pg_isready"))
