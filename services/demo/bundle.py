"""The decoder that ships with the package, and the simulated subject that it was trained on."""

from importlib.resources import files
from pathlib import Path

SUBJECT = 7
"""``subject_seed`` of the demo's neurons."""

TRAINING_SEED = 1
"""Session on which the decoder was trained; the demo plays another one."""

LIVE_SEED = 2


def demo_bundle() -> Path:
    """Path of the shipped bundle."""
    return Path(str(files("services.demo") / "demo.bmi"))
