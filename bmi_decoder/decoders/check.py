"""Contract suite: what any decoder must do, whatever it computes."""

from __future__ import annotations

from collections.abc import Callable

import torch

from bmi_decoder.decoders.check_deployed import DEPLOYED_CHECKS
from bmi_decoder.decoders.check_probe import KINDS, Trial
from bmi_decoder.decoders.check_torch import DESCRIPTION_CHECKS, TORCH_CHECKS
from bmi_decoder.decoders.decoder import Decoder


def check_decoder(
    make_decoder: Callable[[], Decoder], n_bins: int = 300, tolerance: float = 1e-4, exact: bool | None = None
) -> None:
    """Hold a decoder to the contract of `Decoder`.

    Checked on spike counts and on real-valued, filtered channels, after `calibrate` and `finalise` as `train`
    calls them:

    - torch: `forward` and `scan` equal repeated `step`, also when a stretch is scanned in parts; the state is a
      flat, ordered mapping of float32 tensors (batch, ...) and the only thing that lives from bin to bin; lanes
      of a batch do not mix; equal input gives equal output; `scale_output` scales; gradients are finite; input
      of a wrong shape or dtype is an InputError.
    - deployed: the streaming machine (for a decoder with `lower`) and ONNX Runtime agree with torch, also in the
      membranes of spiking neurons where those of a class with ``exact`` False lie in front of real numbers; any
      chunking gives identical bits; reset, state saved in mid-stream and loaded into a fresh engine; non-finite
      input leaves no trace after a reset; refusal of wrong input and of a wrong state; round trips through the
      program's bytes and through a bundle file, and of weights and hyper-parameters.
    - description: name, summary and presets are complete, and every preset can be built for any kind of data.

    Parameters
    ----------
    make_decoder : callable
        Returns a new, untrained decoder. Called many times; torch's random generator is seeded before each.
    n_bins : int
        Length of the stretches, at least 20.
    tolerance : float
        Largest difference between two forms of the decoder, relative to its largest output where that is
        above 1.
    exact : bool, optional
        Whether all forms must agree bit for bit. None: as the decoder's class says, and otherwise if it has spiking
        layers, because one spike more or less in one of them is a different decoder (see `Dense` on how sums become
        exact).

    Raises
    ------
    AssertionError
        At the first breach; the message says which and how large.

    Examples
    --------
    >>> from bmi_decoder.decoders.lstm import LstmDecoder
    >>> check_decoder(lambda: LstmDecoder(5, 2, hidden=4), n_bins=40)
    """
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they are
        for check in DESCRIPTION_CHECKS:
            check(make_decoder)
        for kind in KINDS:
            trial = Trial(make_decoder, kind, n_bins, tolerance, exact)
            for trial_check in TORCH_CHECKS + DEPLOYED_CHECKS:
                trial_check(trial)
