"""One thing that reads what strangers wrote."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bmi_decoder.errors import BmiError


@dataclass(frozen=True)
class Target:
    """What is fuzzed, with what, and what counts as a refusal.

    Parameters
    ----------
    name : str
    valid : sequence of bytes
        Input that must be accepted; everything else is made of it.
    change : callable
        A random number generator and one of `valid` to another input.
    attempt : callable
        Reads an input, and uses what was read as a user would.
    refusals : tuple of exception types
        What it may raise. A refusal of ours must be one line that is not empty.
    in_reader_process : bool
        Whether users get it read in a process of its own. Here that would take too long for each input: it is read in
        the fuzzer's own child, and what ends that is read again as users read it.
    """

    name: str
    valid: Sequence[bytes]
    change: Callable[[random.Random, bytes], bytes]
    attempt: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...] = (BmiError,)
    in_reader_process: bool = False

    def case(self, seed: int, index: int) -> bytes:
        """The input of this number; the same in every process."""
        rng = random.Random(f"{seed}/{self.name}/{index}")
        return self.change(rng, rng.choice(self.valid))


def finding(target: Target, data: bytes) -> tuple[bool, str | None]:
    """Whether an input was accepted, and what is wrong with how it was treated; None if nothing is."""
    try:
        target.attempt(data)
    except target.refusals as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, MemoryError):
                return False, f"asked for more memory than there is: {cause}"
            cause = cause.__cause__ or cause.__context__
        text = str(error)
        if isinstance(error, BmiError) and (not text.strip() or "\n" in text or len(text) > 2000):
            return False, f"refused, but not in one clear line ({len(text)} characters): {text[:200]!r}"
        return False, None
    return True, None
