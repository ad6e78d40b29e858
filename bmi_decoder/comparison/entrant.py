"""What takes part in a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bmi_decoder.config import InputFilterSettings, SplitSettings
from bmi_decoder.decoders.registry import decoder_class
from bmi_decoder.errors import InputError
from bmi_decoder.training.settings import TrainSettings


@dataclass(frozen=True)
class Entrant:
    """A decoder with a preset and what differs from it.

    Attributes
    ----------
    name : str
        As people call it: the decoder, with the preset behind a colon unless all have the same.
    """

    name: str
    decoder: str
    preset: str
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def settings(
        self, input_filter: InputFilterSettings | None, split: SplitSettings, seed: int, device: str = "cpu"
    ) -> TrainSettings:
        """How to train it."""
        return TrainSettings(self.decoder, self.preset, dict(self.overrides), input_filter, split, seed, device)


def parse_entrants(names: Sequence[str], preset: str, overrides: Mapping[str, Any]) -> list[Entrant]:
    """Entrants from ``decoder`` or ``decoder:preset``.

    Parameters
    ----------
    names : sequence of str
    preset : str
        Of those that name none.
    overrides : mapping
        ``key`` for all, or ``decoder.key`` for one decoder.

    Raises
    ------
    InputError
        If a decoder or preset does not exist, one is named twice, or an override belongs to none of them.
    """
    entrants = []
    for name in names:
        decoder, _, own = name.partition(":")
        chosen = own or preset
        presets = decoder_class(decoder).presets
        if chosen not in presets:
            raise InputError(f"decoder {decoder!r} has no preset {chosen!r}; choose one of {', '.join(presets)}")
        settings = {key: value for key, value in overrides.items() if "." not in key}
        settings |= {
            key.partition(".")[2]: value for key, value in overrides.items() if key.partition(".")[0] == decoder
        }
        entrants.append(Entrant(name, decoder, chosen, settings))
    if len({(entrant.decoder, entrant.preset) for entrant in entrants}) < len(entrants):
        raise InputError(f"a decoder is named twice in {', '.join(names)}")
    strangers = [key for key in overrides if "." in key and key.partition(".")[0] not in {e.decoder for e in entrants}]
    if strangers:
        raise InputError(f"{strangers[0]} belongs to no decoder of this comparison: {', '.join(names)}")
    return entrants
