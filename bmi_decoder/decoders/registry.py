"""Which decoders there are: ours and those of other installed packages, by entry point."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from typing import Any, get_type_hints

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.errors import InputError

GROUP = "bmi_decoder.decoders"


def decoder_names() -> list[str]:
    """Names of all registered decoders."""
    return sorted(point.name for point in entry_points(group=GROUP))


def decoder_class(name: str) -> type[Decoder]:
    """The class behind a name.

    Raises
    ------
    InputError
        If there is none, naming those that exist, or if its package is broken.
    """
    for point in entry_points(group=GROUP, name=name):
        try:
            found = point.load()
        except Exception as error:
            raise InputError(
                f"decoder {name!r} cannot be loaded from {point.value!r}: {error!r}; "
                "repair or uninstall the package that brings it"
            ) from error
        if not (isinstance(found, type) and issubclass(found, Decoder)):
            raise InputError(f"entry point {point.value!r} of decoder {name!r} is not a Decoder class")
        return found
    raise InputError(f"there is no decoder {name!r}; choose one of {', '.join(decoder_names())}")


def build_decoder(name: str, n_channels: int, n_outputs: int, hyper_parameters: dict[str, Any]) -> Decoder:
    """A decoder with given hyper-parameters.

    Raises
    ------
    InputError
        If the decoder does not have one of them, or cannot be built with one's value.
    """
    cls = decoder_class(name)
    try:
        return cls(n_channels, n_outputs, **_checked(cls, hyper_parameters))
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"decoder {name!r}: {error.title} is {first['input']!r}: {first['msg']}") from None
    except (TypeError, ValueError, LookupError, ArithmeticError, RuntimeError) as error:
        raise InputError(f"decoder {name!r}: {error}; see 'bmi-decoder decoders'") from None


def _checked(cls: type[Decoder], hyper_parameters: dict[str, Any]) -> dict[str, Any]:
    """Values as the constructor's hints say; torch would find some that are not, but only after training."""
    try:
        hints = get_type_hints(cls.__init__)
    except NameError:  # hints that only a type checker can see
        return hyper_parameters
    checked = dict(hyper_parameters)
    for key in hyper_parameters.keys() & hints.keys():
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(hints[key], config=ConfigDict(strict=True, title=key))
        except PydanticUserError:  # a hint that is no data
            continue
        checked[key] = adapter.validate_json(json.dumps(hyper_parameters[key]))
    return checked
