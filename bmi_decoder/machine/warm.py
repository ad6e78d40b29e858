"""Compile the machine now, so that no session has to wait: ``python -m bmi_decoder.machine.warm``."""

import time


def main() -> None:
    """Import the machine, which compiles it or loads it from the cache."""
    start = time.perf_counter()
    from bmi_decoder.machine import native  # noqa: F401  importing is the work that is timed

    print(f"streaming machine ready in {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
