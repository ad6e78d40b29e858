"""Where a control plane keeps its data, unless it is told otherwise: the commands beside it look there too."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

DATA_VARIABLE = "BMI_DATA_DIR"


def default_data_dir() -> Path:
    """$BMI_DATA_DIR, or the user's data directory of this platform."""
    chosen = os.environ.get(DATA_VARIABLE)
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir("bmi-decoder", appauthor=False))
