"""``python -m services.worker SETTINGS.json``: one session as a process of its own, without torch."""

import sys
from pathlib import Path

from services.ingest.lsl import configure_lsl


def main(arguments: list[str]) -> int:
    """Run a session until SIGTERM or SIGINT; returns the exit status."""
    if len(arguments) != 1:
        print("usage: python -m services.worker SETTINGS.json", file=sys.stderr)
        return 1
    configure_lsl()
    # Only now, because liblsl reads its configuration when it is loaded; and before all else, because streams take a
    # second to answer, in which the rest is loaded.
    from services.ingest.listing import Listing

    listing = Listing()
    from services.worker.process import run

    return run(Path(arguments[0]), listing)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
