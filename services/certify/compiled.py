"""Whether the streaming machine is compiled, so that no session has to wait for that."""

from __future__ import annotations

from dataclasses import dataclass

from bmi_decoder.errors import BmiError
from bmi_decoder.machine.code_cache import code_path, is_compiled
from services.certify.finding import Finding, judged

WARM = "python -m bmi_decoder.machine.warm"


@dataclass(frozen=True)
class CompiledFacts:
    """Where the code is looked for, and whether it is there and sound; or why that cannot be said."""

    path: str
    compiled: bool
    problem: str = ""


def compiled_facts() -> CompiledFacts:
    """Look."""
    try:
        return CompiledFacts(str(code_path()), is_compiled())
    except BmiError as error:
        return CompiledFacts(str(code_path()), False, str(error))


def check_compiled(facts: CompiledFacts) -> Finding:
    """Judge it."""
    found = facts.problem or ("compiled for this processor" if facts.compiled else f"not in {facts.path}")
    remedy = f"the first session would wait for the compiler: run '{WARM}' once, as the user who runs sessions"
    return judged("machine", "machine code", found, None if facts.compiled else "fail", remedy, path=facts.path)
