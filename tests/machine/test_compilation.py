"""Compiled code is cached on disk under a key of the sources, so that an update is never run with old kernels."""

from __future__ import annotations

import os
import subprocess
import sys

import numba

from bmi_decoder.machine.kernels import jit


def test_machine_is_compiled_once_for_all_programs() -> None:
    from bmi_decoder.machine.run import machine

    assert len(machine.signatures) == 1


def test_cache_directory_follows_sources_and_environment(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("BMI_CACHE_DIR", str(tmp_path))
    first = jit._cache_directory()
    assert first.startswith(str(tmp_path))
    assert jit._cache_directory() == first
    sources = tmp_path / "machine"
    (sources / "kernels").mkdir(parents=True)
    (sources / "kernels" / "jit.py").write_text("one")
    monkeypatch.setattr(jit, "__file__", str(sources / "kernels" / "jit.py"))
    one = jit._cache_directory()
    (sources / "run.py").write_text("two")
    assert len({first, one, jit._cache_directory()}) == 3


def test_numba_uses_that_directory() -> None:
    assert jit._cache_directory() == numba.config.CACHE_DIR


def test_warm_says_that_the_machine_is_ready() -> None:
    command = [sys.executable, "-W", "error", "-m", "bmi_decoder.machine.warm"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
    assert done.stdout.startswith("streaming machine ready in ")
