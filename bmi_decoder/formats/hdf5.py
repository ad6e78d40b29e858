"""HDF5 files, read as data that may be damaged or hostile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import InputError
from bmi_decoder.formats import reader_process
from bmi_decoder.formats.extra import require_formats_extra
from bmi_decoder.formats.opening import file_head

if TYPE_CHECKING:
    import h5py

MAX_BYTES = 4 * 2**30
# What h5py raises on files that are cut short or damaged.
DAMAGE = (
    OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError,
    IndexError, OverflowError, NotImplementedError,
)  # fmt: skip


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading; what h5py raises until it is closed becomes an `InputError`.

    Raises
    ------
    InputError
        If the file is missing, cannot be read, is not HDF5 or is damaged.
    BmiError
        If h5py is not installed.
    """
    file_head(path)
    require_formats_extra("h5py", path)
    import h5py

    try:
        # Locks are for writers, and fail on some network file systems.
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except InputError:
        raise
    except DAMAGE as error:
        raise damaged(path, "an HDF5 file", error) from error


def damaged(path: Path, kind: str, error: Exception) -> InputError:
    """What to raise for an error of a library, which does not say whether it only ran out of memory."""
    limit = reader_process.memory_bytes
    larger = "" if limit is None else f", or larger than the {limit / 2**30:.3g} GiB that its reader may take"
    return InputError(f"{path}: not {kind}, or damaged or cut short{larger} ({_one_line(error)})")


def member(group: h5py.Group, name: str, path: Path) -> Any:
    """The object `name` of a group, or None; a link to another place, or another file, is refused."""
    import h5py

    link = group.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise InputError(f"{path}: {name} is a link to elsewhere; export the file without links")
    return group[name]


def checked_dataset(dataset: Any, name: str, path: Path, max_bytes: int = MAX_BYTES) -> h5py.Dataset:
    """Give a dataset back if it is one, has its numbers in this file and is not larger than allowed.

    Parameters
    ----------
    dataset : object
        What a file has in the place of an array.
    name : str
        What an error message calls it.
    path : Path
        The file that was opened.
    max_bytes : int
        Most bytes that it may declare.

    Raises
    ------
    InputError
        If any of this does not hold.
    """
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise InputError(f"{path}: {name} must be an array, got {type(dataset).__name__}")
    if dataset.is_virtual or dataset.external or dataset.file.filename != str(path):
        raise InputError(f"{path}: {name} keeps its numbers in another file; export them into one file")
    declared = (dataset.size or 0) * dataset.dtype.itemsize
    if declared > max_bytes:
        raise InputError(f"{path}: {name} declares {declared} bytes, allowed are {max_bytes}; cut the file into parts")
    return dataset


def read_numbers(dataset: Any, name: str, path: Path, max_bytes: int = MAX_BYTES) -> npt.NDArray[np.float64]:
    """Read an array of real numbers as float64.

    Raises
    ------
    InputError
        As `checked_dataset`, and if it holds anything but real numbers.
    """
    checked = checked_dataset(dataset, name, path, max_bytes)
    if checked.dtype.kind not in "iuf" or checked.shape is None:
        raise InputError(f"{path}: {name} must hold real numbers, got {checked.dtype}")
    return np.asarray(checked[()], dtype=np.float64)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
