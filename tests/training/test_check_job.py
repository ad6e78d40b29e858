"""Whether settings can be trained on what is still to be collected."""

from __future__ import annotations

import pytest

from bmi_decoder.config import SplitSettings
from bmi_decoder.errors import InputError
from bmi_decoder.training.check_job import Check, check_collection
from bmi_decoder.training.settings import TrainSettings

SPLIT = SplitSettings(train=0.4, validation=0.3, test=0.3)


def check(seconds: float, decoder: str = "lstm", bin_s: float = 0.004, **overrides: object) -> None:
    wanted = Check(order="", n_channels=8, n_outputs=2, bin_s=0.004, seconds=seconds)
    check_collection(wanted, TrainSettings(decoder, overrides=overrides, split=SPLIT), bin_s)


def test_the_time_that_a_window_needs_is_said_and_enough() -> None:
    with pytest.raises(InputError, match=r"2 s are too few.*windows of 1 s.*or set window_s") as error:
        check(2.0)
    needed = float(str(error.value).partition("Collect ")[2].split()[0])
    check(needed)
    check(2.0, window_s=0.5)
    check(2.0, decoder="wiener")


@pytest.mark.parametrize("overrides", [{"hiden": 3}, {"epochs": 0}])
def test_settings_that_a_decoder_does_not_have(overrides: dict[str, object]) -> None:
    with pytest.raises(InputError):
        check(60.0, **overrides)


def test_wider_bins_need_more_time() -> None:
    check(2.0, decoder="wiener")
    with pytest.raises(InputError, match="each part of the split needs 64"):
        check(2.0, decoder="wiener", bin_s=0.02)
