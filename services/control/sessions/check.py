"""Whether a session's settings can work with its decoder, before any worker is started on them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bmi_decoder.bin_width import same_bin_width
from bmi_decoder.config import FirFilterSettings, SessionSettings
from bmi_decoder.errors import InputError
from bmi_decoder.masking import check_masked
from filters import FilterDesignError, bessel_sos, minimum_width
from services.control.context import Control
from services.control.rest.problem import bad_value, invalid_fields
from services.control.rest.validation import field_errors
from services.control.settings import TOKEN_VARIABLE
from services.control.storage.tables import DecoderRow
from services.ingest.lsl_settings import read_lsl_settings


def check_session(control: Control, settings: SessionSettings) -> None:
    """Refuse a session without a stored decoder, or whose filters, mask or endpoint cannot be used.

    Raises
    ------
    Problem
        422.
    """
    decoder = control.store.decoder(settings.decoder)
    if decoder is None:
        known = [row.id for row in control.store.decoders()]
        listed = ", ".join(known[:20]) or "none yet; upload one with POST /v1/decoders"
        raise bad_value(
            "decoder", f"no decoder {settings.decoder!r}; there is: {listed}", settings.decoder, list(known)
        )
    check_endpoint(settings, control.settings.guarded)
    check_filters(settings, decoder)
    check_mask(settings, decoder)


def merged_settings(current: SessionSettings, changes: Mapping[str, Any]) -> SessionSettings:
    """`current` with some fields replaced.

    Raises
    ------
    Problem
        422 if the result is not valid.
    """
    try:
        return SessionSettings.model_validate(current.model_dump(mode="json") | dict(changes))
    except ValidationError as error:
        raise invalid_fields(field_errors(error.errors(), SessionSettings)) from None


def check_endpoint(settings: SessionSettings, has_token: bool) -> None:
    """Refuse to publish beyond this machine from a service that anyone on it may control.

    Raises
    ------
    Problem
        422.
    """
    if not settings.endpoint_is_loopback and not has_token:
        raise bad_value(
            "endpoint",
            f"publishing beyond this machine needs a server with a token (bmi-decoder token, or ${TOKEN_VARIABLE}), "
            f"got {settings.endpoint!r}; use tcp://127.0.0.1:PORT, or start the server with a token",
            settings.endpoint,
        )
    if settings.lsl_outlets and not has_token and not _lsl_stays_here():
        raise bad_value(
            "lsl_outlets",
            f"publishing over LSL beyond this machine needs a server with a token (bmi-decoder token, or "
            f"${TOKEN_VARIABLE}); leave it off, start the server with a token, or with --lsl loopback",
            True,
        )


def _lsl_stays_here() -> bool:
    """Whether the LSL configuration of this process, and of its workers, reaches this machine only."""
    return read_lsl_settings(Path(os.environ["LSLAPICFG"])).scope == "machine"


def check_filters(settings: SessionSettings, decoder: DecoderRow) -> None:
    """Refuse output filters that cannot be built at the decoder's bin rate.

    Raises
    ------
    Problem
        422 with the limit that was missed.
    """
    if settings.output_filters is None:
        return
    bin_s = float(decoder.manifest["bin_s"])
    for variant, chosen in settings.output_filters.items():
        field = f"output_filters.{variant}"
        if isinstance(chosen, FirFilterSettings):
            if not same_bin_width(chosen.bin_s, bin_s):
                raise bad_value(
                    f"{field}.bin_s",
                    f"must be the bin width of decoder {decoder.id!r}, {bin_s:g} s, got {chosen.bin_s:g}",
                    chosen.bin_s,
                    f"{bin_s:g}",
                )
            continue
        half_rate = 0.5 / bin_s
        if chosen.cutoff_hz >= half_rate:
            raise bad_value(
                f"{field}.cutoff_hz",
                f"must be below {half_rate:g} Hz, half the bin rate of decoder {decoder.id!r}, "
                f"got {chosen.cutoff_hz:g}",
                chosen.cutoff_hz,
                f"< {half_rate:g}",
            )
        try:
            shortest = minimum_width(bessel_sos(chosen.order, chosen.cutoff_hz, 1 / bin_s), chosen.boundary)
        except FilterDesignError as error:
            raise bad_value(field, str(error), chosen.model_dump()) from None
        if chosen.width < shortest:
            raise bad_value(
                f"{field}.width",
                f"must be at least {shortest} bins for order {chosen.order} and boundary "
                f"{chosen.boundary!r}, got {chosen.width}",
                chosen.width,
                f">= {shortest}",
            )


def check_mask(settings: SessionSettings, decoder: DecoderRow) -> None:
    """Refuse to mask channels that the decoder does not have, or all that it has.

    Raises
    ------
    Problem
        422.
    """
    n_channels = int(decoder.manifest["n_channels"])
    try:
        check_masked(settings.masked_channels, n_channels)
    except InputError as error:
        allowed = f"0 to {n_channels - 1}, not all of them"
        raise bad_value("masked_channels", str(error), list(settings.masked_channels), allowed) from None
