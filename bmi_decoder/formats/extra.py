"""The optional packages that some readers need."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from bmi_decoder.errors import BmiError


def require_formats_extra(module: str, path: Path) -> None:
    """Raise a clear error where a package of the ``[formats]`` extra is not installed.

    Parameters
    ----------
    module : str
        Name under which the package is imported.
    path : Path
        The file that needs it.

    Raises
    ------
    BmiError
        If there is no such package. It is no `InputError`, because the file is not at fault.
    """
    if find_spec(module) is None:
        raise BmiError(f"{path}: to read this file {module} is needed: pip install 'bmi-decoder[formats]'")
