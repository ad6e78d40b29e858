"""Input, output and copies."""

from bmi_decoder.machine.instruction import Access, Instruction, Kind, elementwise, read, write
from bmi_decoder.machine.kernels.jit import kernel

INPUT = Instruction(
    0,
    "input",
    (("dst", Kind.ARENA), ("n", Kind.SIZE), ("column", Kind.COLUMN)),
    lambda o: (Access("input", o["column"], o["n"]), write(o["dst"], o["n"])),
    {},
)
OUTPUT = Instruction(
    1,
    "output",
    (("src", Kind.ARENA), ("n", Kind.SIZE), ("column", Kind.COLUMN)),
    lambda o: (read(o["src"], o["n"]), Access("output", o["column"], o["n"], writes=True)),
    {},
)
COPY = elementwise(2, "copy")


@kernel
def copy(to, dst, source, src, n):  # type: ignore[no-untyped-def]
    """``to[dst:dst+n] = source[src:src+n]``."""
    a = to[dst : dst + n]
    b = source[src : src + n]
    for i in range(n):
        a[i] = b[i]
