"""What a live worker has loaded: every module costs memory in every session, and time at every start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.control.support import write_linear_bundle

FOREIGN = {"fastapi", "httpx", "llvmlite", "numba", "onnxruntime", "rich", "scipy", "sqlalchemy", "torch"}

SCRIPT = """
import sys
from pathlib import Path
from services.ingest.lsl import configure_lsl

configure_lsl("loopback")
from services.worker import process  # all that a worker imports
from bmi_decoder.bundle import read_bundle
from bmi_decoder.config import BlockFilterSettings, OutputFilterSettings
from bmi_decoder.pipeline import Pipeline

for boundary in ("odd", "constant", "gust"):  # as at the start, and at a swap
    on = BlockFilterSettings(cutoff_hz=6.25, boundary=boundary)
    pipeline = Pipeline(read_bundle(Path(sys.argv[1])), OutputFilterSettings(low_latency=on, high_accuracy=on))
    pipeline.run([[0] * pipeline.n_channels] * 3)
print(*sys.modules)
"""


def test_a_worker_loads_no_compiler_no_design_library_and_no_server(tmp_path: Path) -> None:
    bundle = write_linear_bundle(tmp_path / "linear.bmi")
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(bundle)], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "numpy" in loaded
    assert {name.partition(".")[0] for name in loaded} & FOREIGN == set()
    # Readers of recordings.
    assert "bmi_decoder.formats" not in loaded
