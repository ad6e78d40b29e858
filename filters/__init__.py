"""Streaming filters for neural channels and decoder outputs: numpy only, no input or output."""

from filters.block_bidirectional import (
    BOUNDARIES,
    VARIANTS,
    BlockBidirectional,
    block_taps,
    minimum_width,
    variant_position,
)
from filters.causal import CausalSos
from filters.check import check_filter
from filters.contract import Filter
from filters.design import bessel_sos, sos_response, taps_response
from filters.errors import FilterDesignError, FilterInputError

__all__ = [
    "BOUNDARIES",
    "VARIANTS",
    "BlockBidirectional",
    "CausalSos",
    "Filter",
    "FilterDesignError",
    "FilterInputError",
    "bessel_sos",
    "block_taps",
    "check_filter",
    "minimum_width",
    "sos_response",
    "taps_response",
    "variant_position",
]
