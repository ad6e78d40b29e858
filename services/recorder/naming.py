"""File names of recordings, with the letters that LabRecorder gives them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from bmi_decoder.config import Settings
from bmi_decoder.errors import BmiError
from bmi_decoder.recorder_models import Label

BIDS = "sub-%p/ses-%s/%m/sub-%p_ses-%s_task-%b_run-%r_%m.xdf"
BIDS_ACQUISITION = "sub-%p/ses-%s/%m/sub-%p_ses-%s_task-%b_acq-%a_run-%r_%m.xdf"
_MAX_RUNS = 10_000


class FileName(Settings):
    """Where in its folder a recording goes; a run number is taken that no file has."""

    template: str | None = Field(
        None,
        max_length=256,
        description="Relative path: %p participant, %s session, %b task, %a acquisition, %r run, %m modality. null is "
        "the BIDS layout.",
    )
    participant: Label = "unknown"
    session: Label = "01"
    task: Label = "decode"
    acquisition: Label | None = None
    modality: Label = "neural"

    @model_validator(mode="after")
    def _stays_in_its_folder(self) -> Self:
        template = self.template
        if template is None:
            return self
        unknown = set(re.findall("%(.?)", template)) - set("psbarm")
        if unknown:
            raise ValueError(f"there is no %{sorted(unknown)[0]}; known are %p %s %b %a %r %m")
        if "%r" not in template.rpartition("/")[2]:
            raise ValueError("the file's own name must have %r, the run: recordings never overwrite each other")
        parts = Path(template).parts
        if template.startswith("/") or ".." in parts or "\0" in template or not template.endswith(".xdf"):
            raise ValueError("must be a path inside the folder that ends in .xdf")
        if "%a" in template and self.acquisition is None:
            raise ValueError("%a needs an acquisition")
        return self

    def path(self, folder: Path, run: int) -> Path:
        """The path of one run."""
        template = self.template or (BIDS if self.acquisition is None else BIDS_ACQUISITION)
        letters = {
            "p": self.participant,
            "s": self.session,
            "b": self.task,
            "a": self.acquisition or "",
            "r": f"{run:03d}",
            "m": self.modality,
        }
        return folder / re.sub("%([psbarm])", lambda found: letters[found[1]], template)

    def create(self, folder: Path) -> tuple[Path, int]:
        """Make the file of the first free run; returns its path and a descriptor to write to.

        Raises
        ------
        BmiError
            If it cannot be made.
        """
        try:
            for run in range(1, _MAX_RUNS):
                path = self.path(folder, run)
                path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
                except FileExistsError:
                    continue
        except OSError as error:
            raise BmiError(
                f"cannot record into {folder}: {error.strerror}; give a folder that can be written"
            ) from None
        raise BmiError(f"{self.path(folder, 1)} has {_MAX_RUNS} runs; name the recording differently")
