"""``python -m services.recorder SETTINGS.json``: a recorder as a process of its own."""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from bmi_decoder.commands.options import say
from bmi_decoder.errors import BmiError
from services.ingest.lsl import configure_lsl
from services.recorder.settings import RecorderSettings


def main(path: Path) -> int:
    """Record until SIGTERM or SIGINT; returns 0, or 1 if a recording could not begin or ended by itself."""
    try:
        settings = RecorderSettings.model_validate_json(path.read_bytes())
        configure_lsl()
        return record(settings)
    except (OSError, ValidationError) as error:
        say(f"{path} is not a recorder's settings: {error}")
    except BmiError as error:
        say(str(error))
    return 1


def record(settings: RecorderSettings, seconds: float | None = None) -> int:
    """Run a recorder in this process; LSL must have been configured.

    Parameters
    ----------
    settings : RecorderSettings
    seconds : float, optional
        Stop by itself after this time.
    """
    # Only now, because liblsl reads its configuration when it is loaded.
    from services.command_socket import CommandServer
    from services.recorder.recorder import Recorder

    recorder = Recorder(settings, say)

    def stop(signum: int, frame: FrameType | None) -> None:
        recorder.stop = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if seconds is not None:
        signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, seconds)
    with contextlib.ExitStack() as stack:
        if settings.commands is not None:
            stack.callback(CommandServer(Path(settings.commands), recorder.answer).close)
        recorder.run()
    return int(recorder.failed)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m services.recorder SETTINGS.json")
    sys.exit(main(Path(sys.argv[1])))
