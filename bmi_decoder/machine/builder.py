"""Builds programs: what decoders and filters talk to when they are lowered."""

from __future__ import annotations

from bmi_decoder.machine.assembler import Slot
from bmi_decoder.machine.families.bipolar import Bipolar
from bmi_decoder.machine.families.dense import Dense
from bmi_decoder.machine.families.elementwise import Elementwise
from bmi_decoder.machine.families.recurrent import Recurrent
from bmi_decoder.machine.families.sequence_mixing import SequenceMixing
from bmi_decoder.machine.families.spiking import Spiking
from bmi_decoder.machine.families.windows import Windows

__all__ = ["Builder", "Slot"]


class Builder(Elementwise, Dense, Recurrent, Spiking, Bipolar, Windows, SequenceMixing):
    """Builds one program, instruction by instruction.

    Parameters
    ----------
    n_inputs : int
        Length of the input row.

    Examples
    --------
    >>> import numpy as np
    >>> builder = Builder(3)
    >>> y = builder.linear(builder.input(), np.ones((2, 3)), bias=np.zeros(2))
    >>> builder.output(y)
    >>> program = builder.build()
    >>> program.n_inputs, program.n_outputs
    (3, 2)
    """
