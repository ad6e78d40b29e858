from __future__ import annotations

import pytest

from bmi_decoder.comparison.entrant import parse_entrants
from bmi_decoder.errors import InputError


def test_a_preset_of_its_own_and_settings_of_its_own() -> None:
    first, second = parse_entrants(
        ["lstm", "snn_streaming:paper"], "best", {"updates": 5, "lstm.hidden": 4, "snn_streaming.hidden1": 3}
    )
    assert (first.decoder, first.preset, first.overrides) == ("lstm", "best", {"updates": 5, "hidden": 4})
    assert (second.decoder, second.preset, second.overrides) == ("snn_streaming", "paper", {"updates": 5, "hidden1": 3})
    assert [entrant.name for entrant in (first, second)] == ["lstm", "snn_streaming:paper"]


@pytest.mark.parametrize(
    ("names", "overrides", "message"),
    [
        (["lstm", "perceptron"], {}, "there is no decoder 'perceptron'"),
        (["lstm:small"], {}, "has no preset 'small'; choose one of paper, best"),
        (["lstm", "lstm:best"], {}, "named twice"),
        (["lstm"], {"gru.hidden": 3}, "gru.hidden belongs to no decoder of this comparison"),
    ],
)
def test_mistakes_are_found_before_training(names: list[str], overrides: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_entrants(names, "best", overrides)
