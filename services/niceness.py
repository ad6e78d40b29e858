"""How readily a process gives way to others on the same processors."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import psutil

LOWEST = 19
"""The greatest niceness that there is."""

_TRIES, _PAUSE_S = 20, 0.05


def give_way(pid: int, niceness: int) -> None:
    """Let every process that is less nice go before this one; may take a fraction of a second.

    Where Linux shares processors between sessions (``sched_autogroup``, on by default on desktops), niceness counts
    among the processes of one session only. One that leads its own, as most of ours do, has that made nice too.

    Parameters
    ----------
    pid : int
        Of our own or of a child; one that has ended is left alone.
    niceness : int
        0 to 19. A process that is nicer already stays so.
    """
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError):
        process = psutil.Process(pid)
        process.nice(max(niceness, process.nice()))
        group = Path(f"/proc/{pid}/autogroup")
        if os.getsid(pid) == pid and group.exists():
            _write(group, str(niceness))


def _write(path: Path, text: str) -> None:
    """Linux takes ten of these a second from whoever is not root."""
    for left in reversed(range(_TRIES)):
        try:
            path.write_text(text)
        except BlockingIOError:
            if not left:
                raise
            time.sleep(_PAUSE_S)
        else:
            return
