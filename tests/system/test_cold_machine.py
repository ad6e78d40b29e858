"""The process that compiles the machine decodes bit for bit like those that find it in the cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.system.support import ROOT

SCRIPT = """
import hashlib, re
import numpy as np
from bmi_decoder.machine.builder import Builder
from bmi_decoder.machine.executor import Executor
from bmi_decoder.machine.run import machine

random = np.random.default_rng(0)
builder = Builder(182)
x = builder.boxcar(builder.input(), 8)
x = builder.layer_norm(x, random.random(182, np.float32), random.random(182, np.float32), 1e-5)
x = builder.linear(x, random.standard_normal((61, 182)).astype(np.float32), None)
x = builder.fir(x, random.random(33), "filter")
builder.output(x)
y = Executor(builder.build()).run(random.poisson(0.3, (300, 182)))
(signature,) = machine.signatures
misses = sum(machine.stats.cache_misses.values())
calls = re.findall(r"call [^@]*@[^(]*kernels[^(]*", machine.inspect_llvm(signature)) if misses else []
print(hashlib.sha256(y.tobytes()).hexdigest(), misses, len(calls))
"""


def test_cold_and_warm_are_equal(tmp_path: Path) -> None:
    cold, warm = (
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            cwd=ROOT,
            env={**os.environ, "BMI_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for _ in range(2)
    )
    assert (cold[1], warm[1]) == ("1", "0"), "the first process compiles, the second one loads"
    assert cold[0] == warm[0]
    # Whether two copies of a kernel would differ is luck; that there are none is not.
    assert cold[2] == "0"
