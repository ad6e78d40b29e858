"""From a bundle back to a torch module."""

from __future__ import annotations

from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors

from bmi_decoder.bundle import FLOAT_BITS, Bundle
from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.decoders.registry import build_decoder
from bmi_decoder.decoders.weight_quantisation import without_codes
from bmi_decoder.errors import BundleError


def restore_decoder(bundle: Bundle) -> Decoder:
    """The trained decoder of a bundle, as it was exported.

    Raises
    ------
    InputError
        If its decoder is not registered here.
    BundleError
        If its weights are not those of that decoder.
    """
    manifest = bundle.manifest
    decoder = build_decoder(
        manifest.decoder, manifest.n_channels, len(manifest.outputs), dict(manifest.hyper_parameters)
    )
    try:
        tensors = load_safetensors(bundle.weights)
        if manifest.weight_bits != FLOAT_BITS:
            tensors, decoder.row_codes = without_codes(tensors, decoder, manifest.weight_bits)
        decoder.load_state_dict(tensors)
    except (SafetensorError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BundleError(
            f"the weights of this bundle are not those of decoder {manifest.decoder!r} in this version: {reason}"
        ) from None
    return decoder.eval()
