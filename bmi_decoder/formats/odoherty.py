"""MATLAB v7.3 files in the layout of the O'Doherty and Sabes reaching sessions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import InputError
from bmi_decoder.formats.hdf5 import MAX_BYTES, checked_dataset, member, open_hdf5, read_numbers
from bmi_decoder.formats.reaches import reaches_in
from bmi_decoder.formats.reader_process import in_reader_process
from bmi_decoder.formats.segments import segments_of_times
from bmi_decoder.recording import Output, Recording

if TYPE_CHECKING:
    import h5py

Spans = tuple[tuple[int, int], ...]

BIN_S = 0.004
KEYS = ("spikes", "cursor_pos", "t")
MAX_CELLS = 1 << 16
_MAX_COUNTS = 4 * 2**30
_MAX_NAME = 64


@in_reader_process
def read_odoherty(path: Path | str, spike_sorting: bool = False) -> Recording:
    """Read a session of self-paced reaches: spikes in bins of 4 ms, and cursor velocity.

    The steps are those of the NeuroBench task "primate reaching", so that results can be compared.

    Parameters
    ----------
    path : Path or str
        MATLAB v7.3 (HDF5) file with `t` (T samples at 250 Hz, in s), `cursor_pos` (2, T) in mm and `spikes`, a
        (units, channels) cell array of spike times in s whose first unit is the unsorted hash.
    spike_sorting : bool
        True makes every unit that fires a channel of its own; False merges the units of a channel, hash included.

    Returns
    -------
    Recording
        Bins of 4 ms that hold 0 or 1. Row k holds the spikes in ``[t[k-2], t[k-1])`` and the velocity at
        ``t[k]``, the central difference of `cursor_pos` in mm/s: a bin ends one sample before its label, as in
        NeuroBench. (NeuroBench leaves the velocity in mm per sample, smaller by a factor of 250.) The first
        row holds no spikes. A jump of `t` begins a new segment; the reaches are no segments, because no time is
        missing between them, and stand apart; None if the file has no `target_pos`.

    Raises
    ------
    InputError
        If a variable is missing or has another shape or type, or the file is damaged.
    BmiError
        If h5py is not installed.

    Notes
    -----
    O'Doherty, Cardoso, Makin & Sabes 2017, Zenodo 583331. Yik et al. 2025, Nat. Commun. 16 1545 (NeuroBench).

    The bins of a recording tile time, so wider ones (``read_recording(path, bin_s=0.028)``) do not overlap and
    hold the sum of the 4 ms bins. NeuroBench's windows wider than 4 ms move on by 4 ms: such a sliding sum is the
    first layer of the decoders that use it (`layers.boxcar`), over a recording with bins of 4 ms.
    """
    path = Path(path)
    with open_hdf5(path) as file:
        variables = _checked_shapes(file, path)
        time = read_numbers(variables["t"], "t", path).ravel()
        cursor = read_numbers(variables["cursor_pos"], "cursor_pos", path)
        channels = _channel_names(file, variables["spikes"].shape[1], path)
        spans = _checked_spans(time, path)
        spikes = _spikes(file, variables["spikes"], time, spans, path)
        reaches = reaches_in(file, path)
    columns = {(channel, unit): channel for channel, unit in spikes}
    if spike_sorting:
        columns = {key: i for i, key in enumerate(sorted(spikes))}
        channels = [f"{channels[channel]} u{unit}" for channel, unit in sorted(spikes)]
    if not channels:
        raise InputError(f"{path}: no unit fires between the first and the last sample of t")
    counts = np.zeros((len(time), len(channels)), np.uint8)
    for key, rows in spikes.items():
        counts[rows, columns[key]] = 1
    with np.errstate(over="ignore", invalid="ignore"):
        pieces = [np.gradient(cursor[:, start:stop], axis=1) / BIN_S for start, stop in spans]
    try:
        return Recording(
            counts,
            np.ascontiguousarray(np.concatenate(pieces, axis=1).T),
            (Output("x_velocity", "mm/s"), Output("y_velocity", "mm/s")),
            BIN_S,
            t0=float(time[0]) - 2 * BIN_S,
            segments=spans,
            channels=tuple(channels),
            source=f"{path.name} (O'Doherty and Sabes layout)",
            reaches=reaches,
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _checked_shapes(file: h5py.File, path: Path) -> dict[str, Any]:
    variables = {key: member(file, key, path) for key in KEYS}
    missing = [key for key, value in variables.items() if value is None]
    if missing:
        raise InputError(
            f"{path}: variable {missing[0]!r} is missing; this layout needs {', '.join(KEYS)}, "
            f"the file has {', '.join(sorted(file)[:20]) or 'none'}"
        )
    spikes, cursor, time = (checked_dataset(variables[key], key, path).shape for key in KEYS)
    n_samples = max(time, default=0)
    if sorted(time) != [1, n_samples] or n_samples < 2:
        raise InputError(f"{path}: t must be a row of at least two times, got shape {time}")
    # MATLAB's arrays are transposed in HDF5: in MATLAB these are (T, 2) and (channels, units).
    if cursor != (2, n_samples):
        raise InputError(f"{path}: cursor_pos must be (2, {n_samples}), one column per time, got shape {cursor}")
    if len(spikes) != 2 or 0 in spikes or variables["spikes"].dtype.kind != "O":
        raise InputError(f"{path}: spikes must be a (units, channels) cell array, got shape {spikes}")
    n_cells = spikes[0] * spikes[1]
    if n_cells > MAX_CELLS or n_cells * n_samples > _MAX_COUNTS:
        raise InputError(
            f"{path}: {spikes[0]} units of {spikes[1]} channels and {n_samples} samples are more than the "
            f"{MAX_CELLS} cells or {_MAX_COUNTS} counts that are allowed; cut the session into parts"
        )
    return variables


def _checked_spans(time: npt.NDArray[np.float64], path: Path) -> Spans:
    spans = segments_of_times(time, BIN_S, f"{path}: t")
    for start, stop in spans:
        drift = np.abs(time[start:stop] - time[start] - BIN_S * np.arange(stop - start)).max()
        if drift > BIN_S / 2:
            raise InputError(f"{path}: t must advance by 4 ms, but leaves that grid by {drift:.3g} s; resample it")
        if stop - start < 2:
            raise InputError(f"{path}: sample {start} of t is alone between two gaps and has no velocity; cut it out")
    return spans


def _spikes(
    file: h5py.File, cells: Any, time: npt.NDArray[np.float64], spans: Spans, path: Path
) -> dict[tuple[int, int], npt.NDArray[np.intp]]:
    """Rows with a spike, by channel and unit, each spike on the upper edge of its 4 ms; silent units are left out."""
    edges = [np.arange(time[start] - BIN_S, time[stop - 1], BIN_S) for start, stop in spans]
    rows = {}
    left = MAX_BYTES
    for (unit, channel), reference in np.ndenumerate(cells[()]):
        name = f"spikes of channel {channel}, unit {unit}"
        cell = checked_dataset(file[reference], name, path, left)
        # MATLAB writes an empty cell as its dimensions, which would pass for spikes at 0 s.
        if "MATLAB_empty" in cell.attrs:
            continue
        left -= cell.size * cell.dtype.itemsize
        fired = read_numbers(cell, name, path).ravel()
        found = []
        for (start, stop), grid in zip(spans, edges, strict=True):
            inside = fired[(fired >= grid[0]) & (fired <= grid[-1])]
            # As np.histogram does, the last bin takes a spike on its own upper edge.
            lower = np.minimum(np.searchsorted(grid, inside, side="right") - 1, len(grid) - 2)
            found.append(start + lower[lower + 1 < stop - start] + 1)
        if any(map(len, found)):
            rows[channel, unit] = np.concatenate(found)
    return rows


def _channel_names(file: h5py.File, n_channels: int, path: Path) -> list[str]:
    """The file's own names such as ``M1 001`` where it has one of its own for every channel."""
    plain = [f"ch{i}" for i in range(n_channels)]
    cells = member(file, "chan_names", path)
    if cells is None or getattr(cells, "size", 0) != n_channels or cells.dtype.kind != "O":
        return plain
    names = []
    for reference in checked_dataset(cells, "chan_names", path)[()].ravel():
        letters = read_numbers(file[reference], "chan_names", path, 8 * _MAX_NAME).ravel()
        names.append("".join(chr(int(letter)) for letter in letters if 32 <= letter < 0xD800).strip())
    return names if len(set(names)) == n_channels and all(names) else plain
