from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bmi_decoder.errors import BmiError
from services.processes import running

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""


def test_a_child_lives_as_long_as_the_block(tmp_path: Path) -> None:
    with running("child", ["-c", "import time; print('up', flush=True); time.sleep(600)"], tmp_path) as child:
        assert child.next_line() == "up"
        child.check()
        assert psutil.pid_exists(child.process.pid)
    assert child.process.returncode is not None


def test_it_ends_also_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), running("child", ["-c", "import time; time.sleep(600)"], tmp_path) as child:
        raise KeyboardInterrupt
    assert child.process.returncode is not None


# Under nohup it would inherit that SIGHUP is ignored, and in the background that SIGINT is.
OWNER = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from services.processes import running

with running("a", ["-c", "import time; time.sleep(600)"], Path(sys.argv[1])) as a:
    with running("b", ["-c", "import time; time.sleep(600)"], Path(sys.argv[1])) as b:
        pass
    print(a.process.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_it_ends_also_when_a_signal_ends_its_owner(number: signal.Signals, tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with owner:
        assert owner.stdout is not None
        try:
            child = psutil.Process(int(owner.stdout.readline()))
            owner.send_signal(number)
            assert owner.wait(30) == -signal.SIGINT
        finally:
            owner.kill()
    assert not child.is_running()


def test_one_that_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.processes._STOP_TIMEOUT_S", 0.2)
    with running("child", ["-c", STUBBORN], tmp_path) as child:
        child.next_line()
    assert child.process.returncode == -9


def test_one_that_dies_is_named_with_its_last_words(tmp_path: Path) -> None:
    program = "import sys; print('up', flush=True); sys.exit('the port is taken')"
    with running("serve", ["-c", program], tmp_path) as child:
        child.next_line()
        child.process.wait(30)
        with pytest.raises(BmiError, match="serve ended with status 1: the port is taken"):
            child.check()


def test_one_that_never_comes_up(tmp_path: Path) -> None:
    with (
        running("rig", ["-c", "import sys; sys.exit('no such file')"], tmp_path) as child,
        pytest.raises(BmiError, match="rig ended: no such file"),
    ):
        child.next_line()


def test_children_run_this_python(tmp_path: Path) -> None:
    with running("child", ["-c", "import sys; print(sys.executable)"], tmp_path) as child:
        assert child.next_line() == sys.executable
