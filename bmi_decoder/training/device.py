"""Where training runs."""

from __future__ import annotations

import torch

from bmi_decoder.errors import InputError
from bmi_decoder.layers.layer import State


def training_device(name: str) -> torch.device:
    """The device behind ``cpu``, ``cuda`` or ``cuda:N``.

    Raises
    ------
    InputError
        If it is another kind of device, or not there.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise InputError(f"the device must be cpu, cuda or cuda:N, got {name!r}")
    if device.type == "cuda":
        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= found:
            built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
            raise InputError(
                f"device {name!r} is not there: torch {torch.__version__} ({built}) sees {found} GPUs; "
                "train with --device cpu, or install torch for CUDA"
            )
    return device


def on_device(device: torch.device, state: State) -> State:
    """The state there."""
    return {name: value.to(device) for name, value in state.items()}
