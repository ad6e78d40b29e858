"""What a check found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Verdict = Literal["pass", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes
    ----------
    area : str
        ``machine``, ``LSL``, ``decoder``, or the name of a stream.
    check : str
        What was looked at.
    verdict : str
        ``pass``, ``warn`` (works, but read it) or ``fail``.
    found : str
        What was found, for people.
    remedy : str
        What to do; a failure always has one.
    figures : mapping
        The numbers behind it, for programs.
    """

    area: str
    check: str
    verdict: Verdict
    found: str
    remedy: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.verdict == "fail" and not self.remedy:
            raise ValueError(f"{self.area}, {self.check}: a failure needs a remedy")

    def as_json(self) -> dict[str, Any]:
        """As the JSON report has it."""
        return asdict(self)


def judged(area: str, check: str, found: str, problem: Verdict | None, remedy: str, **figures: Any) -> Finding:
    """A pass, or with a problem that verdict and its remedy."""
    if problem is None:
        return Finding(area, check, "pass", found, figures=figures)
    return Finding(area, check, problem, found, remedy, figures)


def passed(findings: Iterable[Finding]) -> bool:
    """Whether nothing failed."""
    return all(finding.verdict != "fail" for finding in findings)
