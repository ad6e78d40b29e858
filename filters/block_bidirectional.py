"""Forward-backward filter over a sliding block of samples."""

from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from filters.block_fir import BlockFir
from filters.block_rows import gustafsson_row, padded_row
from filters.design import DC_TOLERANCE, MAX_ORDER, bessel_sos, check_sos, sos_order
from filters.errors import FilterDesignError
from filters.settings import check_choice, check_integer

Boundary = Literal["odd", "constant", "gust"]
Variant = Literal["low_latency", "high_accuracy"]

BOUNDARIES: tuple[Boundary, ...] = ("odd", "constant", "gust")
VARIANTS: tuple[Variant, ...] = ("low_latency", "high_accuracy")


def variant_position(variant: str, width: int) -> int:
    """Return the block row that a variant emits.

    Parameters
    ----------
    variant : {'low_latency', 'high_accuracy'}
        `low_latency` emits the newest row; `high_accuracy` row `width // 2 - 1`, for an even width the last
        one before the middle, with `width // 2` samples of lookahead.
    width : int
        Block length in samples, at least 2.

    Returns
    -------
    int
        Row, 0 oldest.
    """
    check_choice("variant", variant, VARIANTS)
    width = check_integer("width", width, 2, None, "32 samples at 250 Hz is the usual choice.")
    return width - 1 if variant == "low_latency" else width // 2 - 1


def minimum_width(order: int | ArrayLike, boundary: str = "odd") -> int:
    """Return the shortest block that a filter of this order can be run over.

    Parameters
    ----------
    order : int or array (n_sections, 6)
        Filter order, 1 to 8, or the sections themselves.
    boundary : {'odd', 'constant', 'gust'}
        Treatment of the block's ends, as in `block_taps`.

    Returns
    -------
    int
        `odd`, `constant`: 3 x (order + 1) + 1, since scipy pads 3 x (order + 1) samples taken from the block.
        `gust`: 2 x order, since it fits `order` initial states at each end of the block to its samples.
    """
    check_choice("boundary", boundary, BOUNDARIES)
    if np.ndim(order):
        n = sos_order(check_sos(order))
    else:
        n = check_integer("order", order, 1, MAX_ORDER, "Order 4 is the usual choice.")
    return 2 * n if boundary == "gust" else 3 * (n + 1) + 1


def block_taps(sos: ArrayLike, width: int, position: int, boundary: str = "odd") -> NDArray[np.float64]:
    """Return the FIR that a forward-backward filter over a fixed block amounts to.

    Parameters
    ----------
    sos : array (n_sections, 6)
        Second-order sections of the filter that is run forward, then backward.
    width : int
        Block length in samples; at least `minimum_width(sos, boundary)`.
    position : int
        Emitted row, 0 oldest, `width - 1` newest.
    boundary : {'odd', 'constant', 'gust'}
        Treatment of the block's ends: `odd` and `constant` extend the block by reflection through its end
        points or by repeating them (scipy's `padtype`); `gust` chooses the initial states so that
        forward-backward and backward-forward agree best (scipy's `method`; Gustafsson 1996, IEEE Trans.
        Signal Process. 44 988).

    Returns
    -------
    array (width,)
        Weights, oldest sample first; their sum is 1.

    Raises
    ------
    FilterDesignError
        If a setting is out of range, or the `gust` states cannot be determined in double precision, as
        happens for high orders at low cutoffs.
    """
    sections = check_sos(sos)
    shortest = minimum_width(sections, boundary)
    advice = f"A filter of order {sos_order(sections)} with boundary {boundary!r} needs {shortest} samples: "
    width = check_integer("width", width, shortest, None, advice + "widen the block, or lower the order.")
    position = check_integer("position", position, 0, width - 1, "0 is the oldest sample of the block.")
    if boundary != "gust":
        return padded_row(sections, width, position, boundary, shortest - 1)
    taps, error = gustafsson_row(sections, width, position)
    # Least squares drops directions that it cannot resolve, in silence; a constant shows it.
    if not error < DC_TOLERANCE:
        raise FilterDesignError(
            f"boundary {boundary!r} must keep a constant within {DC_TOLERANCE:g}; got an error of "
            f"{error:.2g} with order {sos_order(sections)} over {width} samples. "
            "Choose boundary 'odd' or 'constant', a higher cutoff or a lower order."
        )
    return taps


class BlockBidirectional(BlockFir):
    """Forward-backward filter over a sliding block, as a fixed FIR.

    Each call emits the sample at `position` of the forward-backward filtered last `width` samples. The block
    is fixed, so that is a `width`-tap FIR: taps = filtfilt(identity)[position].

    Parameters
    ----------
    sos : array (n_sections, 6)
        Second-order sections of the forward filter, gain 1 at 0 Hz.
    width : int
        Block length in samples; at least `minimum_width(sos, boundary)`.
    position : int
        Emitted row, 0 oldest. `width - 1` has no lookahead; `width // 2 - 1` looks ahead `width // 2`
        samples.
    boundary : {'odd', 'constant', 'gust'}
        Treatment of the block's ends, see `block_taps`. `odd` is the paper's.
    n_channels : int
        Channels, filtered independently.
    rate_hz : float
        Samples per second.

    Raises
    ------
    FilterDesignError
        If a setting is out of range.

    Notes
    -----
    Zhou, Sun & Basu 2025, Neuromorph. Comput. Eng. 5 014013. Before `width` samples have arrived the input is
    passed through and `warming_up` is True. (The authors' low-latency code takes a 33rd sample into its block
    of 32 by an off-by-one; this does not.)

    No lookahead is not no delay: the newest row of the paper's filter (order 4, 6.25 Hz, 32 samples at 250
    Hz) shows a slow movement 25.7 ms late; `delay_s` says how late.

    A NaN or infinity is not an error: every output whose block holds it is non-finite, and `width` samples
    later the filter has recovered.

    Examples
    --------
    >>> smooth = BlockBidirectional.from_variant("high_accuracy", cutoff_hz=6.25, rate_hz=250.0, n_channels=2)
    >>> smooth.lookahead_samples, smooth.lag_s
    (16, 0.064)
    >>> smooth.process(np.ones((40, 2))).shape
    (40, 2)
    """

    def __init__(
        self,
        sos: ArrayLike,
        width: int,
        position: int,
        boundary: str = "odd",
        n_channels: int = 1,
        *,
        rate_hz: float,
    ) -> None:
        taps = block_taps(sos, width, position, boundary)
        super().__init__(taps, len(taps) - 1 - int(position), n_channels, rate_hz)
        self._position = int(position)
        self._boundary = boundary

    @classmethod
    def from_variant(
        cls,
        variant: str,
        *,
        cutoff_hz: float,
        rate_hz: float,
        order: int = 4,
        width: int = 32,
        boundary: str = "odd",
        n_channels: int = 1,
    ) -> Self:
        """Build a Bessel filter of a named variant.

        Parameters
        ----------
        variant : {'low_latency', 'high_accuracy'}
            Which row of the block is emitted, see `variant_position`.
        cutoff_hz : float
            Phase-matched corner of the forward filter, see `bessel_sos`.
        rate_hz : float
            Samples per second.
        order : int
            Order of the forward filter, 1 to 8.
        width : int
            Block length in samples.
        boundary : {'odd', 'constant', 'gust'}
            Treatment of the block's ends.
        n_channels : int
            Channels, filtered independently.

        Returns
        -------
        BlockBidirectional
            The filter, with no samples seen.
        """
        sos = bessel_sos(order, cutoff_hz, rate_hz)
        return cls(sos, width, variant_position(variant, width), boundary, n_channels, rate_hz=rate_hz)

    @property
    def position(self) -> int:
        """Emitted row of the block, 0 oldest."""
        return self._position

    @property
    def boundary(self) -> str:
        """Treatment of the block's ends."""
        return self._boundary
