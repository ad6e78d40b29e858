"""The optional training stack."""

from importlib.util import find_spec

from bmi_decoder.errors import BmiError


def require_training_extra(command: str) -> None:
    """Raise a clear error where torch is not installed."""
    if find_spec("torch") is None:
        raise BmiError(f"'{command}' needs the training extra: pip install 'bmi-decoder[train]'")
