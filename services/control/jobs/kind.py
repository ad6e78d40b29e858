"""What a kind of job is: the processes that do it, and what becomes of their work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

R = TypeVar("R", contravariant=True)
"""A kind's requests."""


@dataclass(frozen=True)
class Stage:
    """One process of a job.

    It reports in lines of JSON on standard output, ``{"progress": 0.5, "message": "...", "details": {...}}`` with its
    own progress from 0 to 1; other lines are ignored. It ends with status 0, or with another one and the reason in the
    last line that it wrote on standard error.

    Parameters
    ----------
    arguments : tuple of str
        For the Python interpreter, for example ``("-m", "package.module", "order.json")``.
    share : float
        Of the whole job's work; the shares of a job's stages sum to 1.
    """

    arguments: tuple[str, ...]
    share: float = 1.0


class JobKind(Protocol[R]):
    """One kind of job. `check` and `stages` may block; they are called in threads."""

    def check(self, request: R) -> None:
        """Refuse a request that cannot succeed.

        Raises
        ------
        Problem
        """
        ...

    def stages(self, request: R, folder: Path) -> list[Stage]:
        """Prepare a job in its own empty folder, and say which processes do it, one behind the other.

        All that they write goes into the folder, which is removed when the job has ended in any way.

        Raises
        ------
        Problem
            If what it needs is no longer there.
        """
        ...

    async def finish(self, request: R, folder: Path) -> dict[str, Any]:
        """Keep what the processes have made; gives the job's result.

        It leaves the folder as it is: if the control plane is killed meanwhile, the next one calls it again.

        Raises
        ------
        Problem
        """
        ...
