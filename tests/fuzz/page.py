"""The page that holds the figures of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_HEAD = """# Bad input

`make fuzz` feeds everything that reads what others wrote with input that is almost right: bytes flipped, cut off, put
in and taken from elsewhere, lengths and counts blown up, JSON values of another kind, zip members that are bombs or
have other names, programs with other operands and sums that agree. Each reader runs in a process that may take
{headroom} MB beyond what it has, and {slow:g} s for an input. The run wrote this page; `--seed {seed}` makes the same
inputs.

- *accepted*: read, and used as a user would: a pipeline decodes with the bundle, a program runs between guards that
  show what it touches, a stream is compared with a session.
- *refused*: with one clear error of ours. Of JSON that pydantic reads, with its own.
- *grown*: most memory of the process beyond what it had before the first input.
- *findings*: ended or hung the process, took more memory than it may, or raised anything else, a warning too.

The HDF5 library under `nwb` and `odoherty` can itself crash on a damaged file. Users get these formats read in a
[process of its own](formats.md#a-process-for-hdf5), where a crash is an error like any other. An input that ended the
fuzzer's process is read again in that way, and is refused if it gives one clear error: {crashed} in this run.

"""


def page(rows: Mapping[str, Mapping[str, Any]], seed: int, headroom: int, slow_s: float, python: str) -> str:
    """The page in Markdown."""
    table = [
        "| | inputs | accepted | refused | slowest | grown | findings |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {name} | {row['inputs']:,} | {row['accepted']:,} | {row['refused']:,} | {row['slowest_ms']:.0f} ms "
            f"| {row['grown_mb']} MB | {row['findings']} |"
            for name, row in rows.items()
        ),
    ]
    total, seconds = (sum(row[key] for row in rows.values()) for key in ("inputs", "seconds"))
    head = _HEAD.format(
        headroom=headroom >> 20, slow=slow_s, seed=seed, crashed=sum(row["crashed"] for row in rows.values())
    )
    foot = f"{total:,} inputs in {seconds / 60:.0f} minutes, seed {seed}, Python {python}.\n"
    return head + "\n".join(table) + "\n\n" + foot
