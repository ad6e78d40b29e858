"""All instructions, by opcode."""

from bmi_decoder.machine.instruction import Instruction
from bmi_decoder.machine.kernels.linear import LINEAR
from bmi_decoder.machine.kernels.lstm import LSTM_CELL
from bmi_decoder.machine.kernels.move import COPY, INPUT, OUTPUT
from bmi_decoder.machine.kernels.scale import AFFINE, BINARISE, LAYER_NORM, QUANTISE
from bmi_decoder.machine.kernels.spiking import LEAKY_INTEGRATOR, LIF
from bmi_decoder.machine.kernels.window import BOXCAR, FIR

INSTRUCTIONS: dict[int, Instruction] = {
    instruction.opcode: instruction
    for instruction in (
        INPUT,
        OUTPUT,
        COPY,
        LINEAR,
        LAYER_NORM,
        AFFINE,
        BINARISE,
        QUANTISE,
        LSTM_CELL,
        LIF,
        LEAKY_INTEGRATOR,
        BOXCAR,
        FIR,
    )
}
