"""``python -m services.calibration ORDER.json``: collects for a job, and reports in JSON lines.

Progress is a line ``{"progress": 0.25, "message": "...", "details": {...}}`` on standard output; an error is one line
on standard error and exit status 2 or 1.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.formats import write_npz
from bmi_decoder.formats.rebin import rebin
from bmi_decoder.recording import Output
from services.calibration.order import CollectOrder
from services.calibration.tally import check_enough, describe
from services.ingest.lsl import configure_lsl


def main(path: Path) -> int:
    """Collect and write the recording; returns the exit status."""
    order = CollectOrder.model_validate_json(path.read_bytes())
    try:
        configure_lsl()
        # Only now, because liblsl reads its configuration when it is loaded.
        from services.calibration.collect import collect

        alignment, counted = collect(order, _report)
        if not counted["usable"]:
            raise InputError(f"nothing usable was collected: {describe(counted)}")
        declared = order.kinematics.outputs
        outputs = None if declared is None else tuple(Output(one.name, one.unit) for one in declared)
        recording = alignment.recording(f"calibration on {order.neural.name}", outputs)
        check_enough(rebin(recording, order.bin_s), order.split, counted)
        write_npz(recording, order.recording, {"calibration": counted})
        Path(order.report).write_text(json.dumps(counted))
    except BmiError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    _report(1.0, f"collected: {describe(counted)}", counted)
    return 0


def _report(progress: float, message: str, details: dict[str, Any]) -> None:
    print(json.dumps({"progress": progress, "message": message, "details": details}), flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
