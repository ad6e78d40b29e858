"""Building blocks of decoders: each trains in torch and lowers itself to the streaming machine."""

from bmi_decoder.machine.kernels.jit import compiler

# Before any loop of a layer is compiled: it says where compiled loops are kept.
compiler()
