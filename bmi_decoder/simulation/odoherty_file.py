"""A simulated session in the file layout of O'Doherty and Sabes."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import InputError
from bmi_decoder.formats.extra import require_formats_extra
from bmi_decoder.simulation.subject import SubjectSettings, reach_stream, simulate

if TYPE_CHECKING:
    import h5py

_SAMPLE_S = 0.004
_HEADER = b"MATLAB 7.3 MAT-file, simulated by bmi-decoder"
_START_S = 100.0


def write_odoherty(settings: SubjectSettings, seconds: float, path: Path | str, n_units: int = 5) -> None:
    """Simulate a session and write it as MATLAB v7.3, as `read_odoherty` reads it.

    Sample k of the movement is at the middle of simulated bin k, and a spike of that bin at a random time within
    2 ms of it. Lengths are in mm. The spikes of a channel are dealt to its units at random, about half of them to
    the unsorted hash; some channels have no sorted units.

    Parameters
    ----------
    settings : SubjectSettings
        Subject and session; its bins must be 4 ms, the sampling interval of these files.
    seconds : float
        Length of the session.
    path : Path or str
        File to make or replace. It appears under its name only when it is complete.
    n_units : int
        Units per channel, the hash included; 5 as in the sessions of the subject "indy".

    Raises
    ------
    InputError
        If the bins are not 4 ms or the file cannot be written.
    BmiError
        If h5py is not installed.
    """
    path = Path(path)
    if abs(settings.bin_s - _SAMPLE_S) > 1e-9:
        raise InputError(f"{path}: sessions of this layout have samples of 4 ms, got bins of {settings.bin_s} s")
    if n_units < 1:
        raise InputError(f"a channel has at least one unit, the hash, got {n_units}")
    require_formats_extra("h5py", path)
    import h5py

    recording = simulate(settings, seconds)
    position, _, target = reach_stream(settings).bins_with_targets(recording.n_bins)
    time = _START_S + _SAMPLE_S * np.arange(recording.n_bins, dtype=np.float64)
    rng = np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=(2000,)))
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with h5py.File(beside, "x", userblock_size=512) as file:
            file.create_dataset("t", data=time[None])
            file.create_dataset("cursor_pos", data=1e3 * position.T, compression="gzip")
            file.create_dataset("target_pos", data=1e3 * target.T, compression="gzip")
            shape = (n_units, recording.n_channels)
            spikes = file.create_dataset("spikes", shape, dtype=h5py.ref_dtype)
            names = file.create_dataset("chan_names", (1, recording.n_channels), dtype=h5py.ref_dtype)
            spikes.attrs["MATLAB_class"] = names.attrs["MATLAB_class"] = np.bytes_("cell")
            for channel, counts in enumerate(recording.counts.T):
                for unit, fired in enumerate(_units(counts, time, n_units, rng)):
                    spikes[unit, channel] = _cell(file, f"#refs#/s{channel}u{unit}", fired)
                letters = np.frombuffer(f"SIM {channel + 1:03d}".encode("utf-16-le"), "<u2")
                names[0, channel] = file.create_dataset(f"#refs#/n{channel}", data=letters[:, None]).ref
        with open(beside, "r+b") as raw:
            raw.write(_HEADER.ljust(124) + b"\x00\x02IM")
        os.replace(beside, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); check the folder") from error
    finally:
        beside.unlink(missing_ok=True)


def _units(
    counts: npt.NDArray[np.integer], time: npt.NDArray[np.float64], n_units: int, rng: np.random.Generator
) -> list[npt.NDArray[np.float64]]:
    fired = np.repeat(time, counts)
    fired = np.sort(fired + rng.uniform(-_SAMPLE_S / 2, _SAMPLE_S / 2, len(fired)))
    sorted_units = int(rng.integers(0, n_units))
    share = np.array([0.5, *[0.5 / max(1, sorted_units)] * sorted_units])
    unit = rng.choice(sorted_units + 1, len(fired), p=share / share.sum())
    return [fired[unit == i] for i in range(n_units)]


def _cell(file: h5py.File, name: str, fired: npt.NDArray[np.float64]) -> h5py.Reference:
    if len(fired):
        return file.create_dataset(name, data=fired[None]).ref
    # As MATLAB writes it: an empty cell holds its dimensions.
    empty = file.create_dataset(name, data=np.zeros(2, np.uint64))
    empty.attrs["MATLAB_empty"] = np.uint8(1)
    return empty.ref
