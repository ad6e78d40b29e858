"""The one function that runs every program, live and offline, as it is compiled; see `native` for how it is called."""

import numba

from bmi_decoder.machine.call import N_FIELDS
from bmi_decoder.machine.instruction import WIDTH
from bmi_decoder.machine.kernels.attention import LINEAR_ATTENTION, linear_attention
from bmi_decoder.machine.kernels.bif import BIF, BIF_DRIVEN, ROUND_HALF_UP, bif, bif_driven, round_half_up
from bmi_decoder.machine.kernels.causal_conv import CAUSAL_CONV, causal_conv
from bmi_decoder.machine.kernels.compress import CLAMP, LOG_SOFTPLUS, SQUARE_ROOT, clamp, log_softplus, square_root
from bmi_decoder.machine.kernels.elementwise import ADD, RELU, ZERO, add, relu, zero
from bmi_decoder.machine.kernels.exact_norm import EXACT_LAYER_NORM, exact_layer_norm
from bmi_decoder.machine.kernels.gating import MULTIPLY, SILU, multiply, silu
from bmi_decoder.machine.kernels.gru import GRU_CELL, gru_cell
from bmi_decoder.machine.kernels.history import HISTORY, SUB_WINDOWS, history, sub_windows
from bmi_decoder.machine.kernels.legendre import LEGENDRE, legendre
from bmi_decoder.machine.kernels.linear import LINEAR, LINEAR_FEW, linear, linear_few
from bmi_decoder.machine.kernels.lstm import LSTM_CELL, lstm_cell
from bmi_decoder.machine.kernels.move import COPY, INPUT, OUTPUT, copy
from bmi_decoder.machine.kernels.resonate import RESONATE_FIRE, resonate_fire
from bmi_decoder.machine.kernels.rms_norm import RMS_NORM, rms_norm
from bmi_decoder.machine.kernels.scale import (
    AFFINE,
    BINARISE,
    LAYER_NORM,
    QUANTISE,
    affine,
    binarise,
    layer_norm,
    quantise,
)
from bmi_decoder.machine.kernels.selective_scan import SELECTIVE_SCAN, selective_scan
from bmi_decoder.machine.kernels.self_attention import SPIKING_SELF_ATTENTION, spiking_self_attention
from bmi_decoder.machine.kernels.spiking import LEAKY_INTEGRATOR, LIF, leaky_integrator, lif
from bmi_decoder.machine.kernels.synaptic import SYNAPTIC_LIF, synaptic_lif
from bmi_decoder.machine.kernels.window import BOXCAR, FIR, boxcar, fir
from bmi_decoder.machine.pointers import float32_at, int64_at

_INPUT, _OUTPUT, _COPY, _LINEAR = INPUT.opcode, OUTPUT.opcode, COPY.opcode, LINEAR.opcode
_LAYER_NORM, _AFFINE = LAYER_NORM.opcode, AFFINE.opcode
_BINARISE, _QUANTISE = BINARISE.opcode, QUANTISE.opcode
_LSTM_CELL, _LIF, _LEAKY_INTEGRATOR = LSTM_CELL.opcode, LIF.opcode, LEAKY_INTEGRATOR.opcode
_BOXCAR, _FIR = BOXCAR.opcode, FIR.opcode
_GRU_CELL, _RELU, _ADD, _ZERO = GRU_CELL.opcode, RELU.opcode, ADD.opcode, ZERO.opcode
_HISTORY, _SUB_WINDOWS = HISTORY.opcode, SUB_WINDOWS.opcode
_EXACT_LAYER_NORM, _SYNAPTIC_LIF = EXACT_LAYER_NORM.opcode, SYNAPTIC_LIF.opcode
_BIF, _BIF_DRIVEN, _ROUND_HALF_UP = BIF.opcode, BIF_DRIVEN.opcode, ROUND_HALF_UP.opcode
_LINEAR_ATTENTION, _CAUSAL_CONV, _SILU = LINEAR_ATTENTION.opcode, CAUSAL_CONV.opcode, SILU.opcode
_MULTIPLY, _SELECTIVE_SCAN, _RMS_NORM = MULTIPLY.opcode, SELECTIVE_SCAN.opcode, RMS_NORM.opcode

_SQUARE_ROOT, _LOG_SOFTPLUS, _CLAMP = SQUARE_ROOT.opcode, LOG_SOFTPLUS.opcode, CLAMP.opcode
_LEGENDRE = LEGENDRE.opcode
_SPIKING_SELF_ATTENTION = SPIKING_SELF_ATTENTION.opcode
_RESONATE_FIRE, _LINEAR_FEW = RESONATE_FIRE.opcode, LINEAR_FEW.opcode


@numba.njit(error_model="numpy")
def machine(address):  # type: ignore[no-untyped-def]
    """Run a verified program for each row of `x`, writing each row of `y`: those of the `Call` at this address.

    Nothing is bounds-checked here: only programs that `Program.verify` accepted may be run.
    """
    call = numba.carray(int64_at(address), (N_FIELDS,))
    program = numba.carray(int64_at(call[0]), (call[1], WIDTH))
    params = numba.carray(float32_at(call[2]), (call[3],))
    arena = numba.carray(float32_at(call[4]), (call[5],))
    x = numba.carray(float32_at(call[6]), (call[7], call[8]))
    y = numba.carray(float32_at(call[9]), (call[7], call[10]))
    for t in range(x.shape[0]):
        for i in range(program.shape[0]):
            o = program[i]
            op = o[0]
            if op == _LINEAR:
                linear(arena, params, o[1], o[2], o[3], o[4], o[5], o[6], o[7])
            elif op == _LINEAR_FEW:
                linear_few(arena, params, o[1], o[2], o[3], o[4], o[5], o[6], o[7])
            elif op == _LIF:
                lif(arena, params, o[1], o[2], o[3], o[4], o[5], o[6], o[7], o[8])
            elif op == _LSTM_CELL:
                lstm_cell(arena, o[1], o[2], o[3], o[4])
            elif op == _FIR:
                fir(arena, params, o[1], o[2], o[3], o[4], o[5], o[6])
            elif op == _BOXCAR:
                boxcar(arena, o[1], o[2], o[3], o[4], o[5])
            elif op == _INPUT:
                copy(arena, o[1], x[t], o[3], o[2])
            elif op == _OUTPUT:
                copy(y[t], o[3], arena, o[1], o[2])
            elif op == _COPY:
                copy(arena, o[1], arena, o[2], o[3])
            elif op == _LAYER_NORM:
                layer_norm(arena, params, o[1], o[2], o[3], o[4], o[5], o[6])
            elif op == _AFFINE:
                affine(arena, params, o[1], o[2], o[3], o[4], o[5])
            elif op == _BINARISE:
                binarise(arena, o[1], o[2], o[3])
            elif op == _QUANTISE:
                quantise(arena, params, o[1], o[2], o[3], o[4])
            elif op == _LEAKY_INTEGRATOR:
                leaky_integrator(arena, params, o[1], o[2], o[3], o[4], o[5], o[6])
            elif op == _GRU_CELL:
                gru_cell(arena, o[1], o[2], o[3], o[4])
            elif op == _SYNAPTIC_LIF:
                synaptic_lif(arena, params, o[1], o[2], o[3], o[4], o[5], o[6], o[7])
            elif op == _RELU:
                relu(arena, o[1], o[2], o[3])
            elif op == _ADD:
                add(arena, o[1], o[2], o[3], o[4])
            elif op == _ZERO:
                zero(arena, o[1], o[2])
            elif op == _HISTORY:
                history(arena, o[1], o[2], o[3], o[4], o[5])
            elif op == _SUB_WINDOWS:
                sub_windows(arena, o[1], o[2], o[3], o[4], o[5], o[6])
            elif op == _EXACT_LAYER_NORM:
                exact_layer_norm(arena, params, o[1], o[2], o[3], o[4], o[5], o[6])
            elif op == _SQUARE_ROOT:
                square_root(arena, o[1], o[2], o[3])
            elif op == _LOG_SOFTPLUS:
                log_softplus(arena, o[1], o[2], o[3])
            elif op == _CLAMP:
                clamp(arena, params, o[1], o[2], o[3], o[4])
            elif op == _LEGENDRE:
                legendre(arena, params, o[1], o[2], o[3], o[4], o[5], o[6])
            elif op == _BIF:
                bif(arena, params, o[1], o[2], o[3], o[4], o[5], o[6])
            elif op == _BIF_DRIVEN:
                bif_driven(arena, params, o[1], o[2], o[3], o[4], o[5], o[6], o[7], o[8], o[9], o[10])
            elif op == _ROUND_HALF_UP:
                round_half_up(arena, params, o[1], o[2], o[3], o[4])
            elif op == _RESONATE_FIRE:
                resonate_fire(arena, params, o[1], o[2], o[3], o[4], o[5])
            elif op == _LINEAR_ATTENTION:
                linear_attention(arena, params, o[1], o[2], o[3], o[4], o[5], o[6], o[7], o[8], o[9])
            elif op == _CAUSAL_CONV:
                causal_conv(arena, params, o[1], o[2], o[3], o[4], o[5], o[6], o[7])
            elif op == _SILU:
                silu(arena, o[1], o[2], o[3])
            elif op == _MULTIPLY:
                multiply(arena, o[1], o[2], o[3], o[4])
            elif op == _SELECTIVE_SCAN:
                selective_scan(arena, params, o[1], o[2], o[3], o[4], o[5], o[6], o[7], o[8], o[9])
            elif op == _RMS_NORM:
                rms_norm(arena, params, o[1], o[2], o[3], o[4], o[5])
            elif op == _SPIKING_SELF_ATTENTION:
                spiking_self_attention(arena, params, o[1], o[2], o[3], o[4], o[5], o[6], o[7], o[8])
