"""``python -m services.control.recordings.inspect_upload BYTES PATH``: `inspect`, within so much address space."""

from __future__ import annotations

import os
import resource
import sys

from bmi_decoder.cli import main

_NICENESS = 15


def _inspect(limit: int, path: str) -> int:
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        return main(["inspect", path, "--json", "-"])
    except MemoryError:
        print(f"{path} needs more memory to be read than the {limit / 2**30:.3g} GiB that there are", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(_inspect(int(sys.argv[1]), sys.argv[2]))
