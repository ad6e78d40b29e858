"""All instructions, by opcode."""

from bmi_decoder.machine.instruction import Instruction
from bmi_decoder.machine.kernels.attention import LINEAR_ATTENTION
from bmi_decoder.machine.kernels.bif import BIF, BIF_DRIVEN, ROUND_HALF_UP
from bmi_decoder.machine.kernels.causal_conv import CAUSAL_CONV
from bmi_decoder.machine.kernels.compress import CLAMP, LOG_SOFTPLUS, SQUARE_ROOT
from bmi_decoder.machine.kernels.elementwise import ADD, RELU, ZERO
from bmi_decoder.machine.kernels.exact_norm import EXACT_LAYER_NORM
from bmi_decoder.machine.kernels.gating import MULTIPLY, SILU
from bmi_decoder.machine.kernels.gru import GRU_CELL
from bmi_decoder.machine.kernels.history import HISTORY, SUB_WINDOWS
from bmi_decoder.machine.kernels.legendre import LEGENDRE
from bmi_decoder.machine.kernels.linear import LINEAR, LINEAR_FEW
from bmi_decoder.machine.kernels.lstm import LSTM_CELL
from bmi_decoder.machine.kernels.move import COPY, INPUT, OUTPUT
from bmi_decoder.machine.kernels.resonate import RESONATE_FIRE
from bmi_decoder.machine.kernels.rms_norm import RMS_NORM
from bmi_decoder.machine.kernels.scale import AFFINE, BINARISE, LAYER_NORM, QUANTISE
from bmi_decoder.machine.kernels.selective_scan import SELECTIVE_SCAN
from bmi_decoder.machine.kernels.self_attention import SPIKING_SELF_ATTENTION
from bmi_decoder.machine.kernels.spiking import LEAKY_INTEGRATOR, LIF
from bmi_decoder.machine.kernels.synaptic import SYNAPTIC_LIF
from bmi_decoder.machine.kernels.window import BOXCAR, FIR

INSTRUCTIONS: dict[int, Instruction] = {
    instruction.opcode: instruction
    for instruction in (
        INPUT,
        OUTPUT,
        COPY,
        LINEAR,
        LINEAR_FEW,
        LAYER_NORM,
        AFFINE,
        BINARISE,
        QUANTISE,
        LSTM_CELL,
        LIF,
        LEAKY_INTEGRATOR,
        BOXCAR,
        FIR,
        GRU_CELL,
        RELU,
        ADD,
        ZERO,
        HISTORY,
        SUB_WINDOWS,
        EXACT_LAYER_NORM,
        SYNAPTIC_LIF,
        SQUARE_ROOT,
        LOG_SOFTPLUS,
        CLAMP,
        LEGENDRE,
        BIF,
        BIF_DRIVEN,
        ROUND_HALF_UP,
        RESONATE_FIRE,
        LINEAR_ATTENTION,
        CAUSAL_CONV,
        SILU,
        MULTIPLY,
        SELECTIVE_SCAN,
        RMS_NORM,
        SPIKING_SELF_ATTENTION,
    )
}
