"""Digital Bessel low-pass filters by the bilinear transform."""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray


def bessel_sections(order: int, cutoff: float) -> NDArray[np.float64]:
    """Second-order sections of a Bessel low-pass, unchecked.

    Parameters
    ----------
    order : int
        At least 1.
    cutoff : float
        Phase-matched corner frequency as a share of the sample rate, between 0 and 0.5.

    Returns
    -------
    array (n_sections, 6)
        Sections with slow poles last, and the gain in the first one, as ``scipy.signal.bessel`` orders them.

    Notes
    -----
    The bilinear transform with the corner frequency kept, s = (z - 1) / (z + 1) / tan(pi cutoff), takes each analog
    pole to a digital one and brings a zero at z = -1.
    """
    warped = math.tan(math.pi * cutoff)
    gain, sections = 1.0, []
    for pole in analog_poles(order):
        s = pole * warped
        z = (1 + s) / (1 - s)
        if pole.imag:
            gain *= abs(s / (1 - s)) ** 2
            sections.append((abs(z), [1.0, 2.0, 1.0, 1.0, -2 * z.real, abs(z) ** 2]))
        else:
            gain *= abs(s / (1 - s))
            sections.append((abs(z), [1.0, 1.0, 0.0, 1.0, -z.real, 0.0]))
    sos = np.array([section for _, section in sorted(sections)])
    sos[0, :3] *= gain
    return sos


@cache
def analog_poles(order: int) -> tuple[complex, ...]:
    """Poles of the analog Bessel low-pass whose phase at 1 rad/s is half of what it is at high frequencies.

    Of a pair of conjugates only the one above the real axis. They are the roots of the reverse Bessel polynomial,
    scaled by its constant term: C. Bond, "Bessel Filter Constants", 2003.
    """
    coefficients = [
        math.factorial(2 * order - k) // (2 ** (order - k) * math.factorial(k) * math.factorial(order - k))
        for k in range(order, -1, -1)
    ]
    scale = coefficients[-1] ** (1 / order)
    # Scaled first: the coefficients are then of one magnitude.
    scaled = [value / scale**k for k, value in enumerate(coefficients)]
    slope = np.polyder(scaled)
    roots = np.roots(scaled).astype(complex)
    for _ in range(2):
        roots = roots - np.polyval(scaled, roots) / np.polyval(slope, roots)
    return tuple(complex(root) if root.imag > 1e-6 else complex(root.real) for root in roots if root.imag > -1e-6)
