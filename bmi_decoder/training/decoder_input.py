"""What a decoder sees of a recording."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bmi_decoder.config import InputFilterSettings
from bmi_decoder.pipeline import filter_taps
from bmi_decoder.recording import Recording
from filters import BlockBidirectional, bessel_sos, variant_position


def decoder_input(recording: Recording, settings: InputFilterSettings | None) -> npt.NDArray[np.float32]:
    """Counts, or channels behind the input filter, which starts anew in each segment; (T, C).

    Raises
    ------
    InputError
        If the filter cannot be designed at the recording's bin rate.
    """
    counts = recording.counts.astype(np.float32)
    if settings is None:
        return counts
    filter_taps(settings.variant, settings, recording.bin_s)  # one clear error for settings that do not fit
    channel_filter = BlockBidirectional(
        bessel_sos(settings.order, settings.cutoff_hz, 1 / recording.bin_s),
        settings.width,
        variant_position(settings.variant, settings.width),
        settings.boundary,
        recording.n_channels,
        rate_hz=1 / recording.bin_s,
    )
    parts = []
    for start, stop in recording.spans:
        channel_filter.reset()
        parts.append(channel_filter.process(counts[start:stop]))
    return np.concatenate(parts).astype(np.float32)
