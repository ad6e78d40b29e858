"""The machine is compiled once and kept on disk, under a key of all that the code depends on."""

from __future__ import annotations

import hashlib
import os
import platform
import stat
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import pytest

from bmi_decoder.errors import BmiError
from bmi_decoder.machine import code_cache, load
from bmi_decoder.machine.builder import Builder
from bmi_decoder.machine.call import Call
from bmi_decoder.machine.elf import LinkError, ObjectFile
from bmi_decoder.machine.kernels import jit
from bmi_decoder.machine.link import link
from bmi_decoder.machine.load import LIVE, RUN, function_at, load_with_llvm
from bmi_decoder.machine.native import run, run_call


@pytest.fixture
def code() -> bytes:
    return code_cache.machine_code()


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BMI_CACHE_DIR", str(tmp_path / "cache"))
    return code_cache.code_path()


def test_cache_directory_follows_sources_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMI_CACHE_DIR", str(tmp_path))
    first = jit.cache_directory()
    assert first.parent == tmp_path
    assert jit.cache_directory() == first
    sources = tmp_path / "machine"
    (sources / "kernels").mkdir(parents=True)
    (sources / "kernels" / "jit.py").write_text("one")
    monkeypatch.setattr(jit, "__file__", str(sources / "kernels" / "jit.py"))
    one = jit.cache_directory()
    (sources / "run.py").write_text("two")
    assert len({first, one, jit.cache_directory()}) == 3


def test_code_is_kept_for_each_processor_and_each_of_numbas_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = {code_cache.code_path()}
    monkeypatch.setenv("NUMBA_CPU_NAME", "generic")
    paths.add(code_cache.code_path())
    monkeypatch.setattr(code_cache.platform, "machine", lambda: "another")
    paths.add(code_cache.code_path())
    assert len(paths) == 3


def test_numba_uses_that_directory() -> None:
    assert jit.compiler() is numba
    assert str(jit.cache_directory()) == numba.config.CACHE_DIR


def test_what_was_written_is_read(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty_cache.parent.mkdir(parents=True)
    code_cache.write_code(empty_cache, b"code")
    assert code_cache.machine_code() == b"code"
    assert [path.name for path in empty_cache.parent.iterdir()] == [empty_cache.name]
    # By every user, whoever has filled the cache.
    assert stat.S_IMODE(empty_cache.stat().st_mode) == 0o644


@pytest.mark.parametrize("damaged", [b"", b"too short", hashlib.sha256(b"code").digest() + b"c0de"])
def test_damaged_code_is_made_anew(damaged: bytes, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty_cache.parent.mkdir(parents=True)
    empty_cache.write_bytes(damaged)
    monkeypatch.setattr(code_cache, "_compile", lambda path: code_cache.write_code(path, b"code"))
    assert code_cache.machine_code() == b"code"


def test_one_of_several_compiles(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []

    def compile_once(path: Path) -> None:
        compiled.append(path)
        code_cache.write_code(path, b"code")

    monkeypatch.setattr(code_cache, "_compile", compile_once)
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: code_cache.machine_code(), range(8)))
    assert codes == [b"code"] * 8
    assert compiled == [empty_cache]


def test_a_compiler_that_fails_is_quoted(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    with pytest.raises(BmiError, match=r"the streaming machine cannot be compiled: .*Error"):
        code_cache.machine_code()


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BMI_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(BmiError, match="BMI_CACHE_DIR"):
        code_cache.machine_code()


def test_llvm_and_our_own_linker_load_the_same_code(code: bytes) -> None:
    builder = Builder(40)
    x = builder.layer_norm(builder.input(), np.ones(40), np.zeros(40), 1e-5)
    builder.output(builder.fir(builder.linear(x, np.ones((7, 40)), None), np.ones(5), "filter"))
    program = builder.build()
    rows = np.random.default_rng(0).poisson(0.5, (50, 40)).astype(np.float32)
    results = []
    for address in (*link(code, [RUN]), *load_with_llvm(code, [RUN])):
        arena, y = np.zeros(program.arena_size, np.float32), np.empty((50, 7), np.float32)
        arena[: program.initial_state.size] = program.initial_state
        call = Call(program.instructions, program.params, arena, 40, 7)
        call.bind(rows, y)
        function_at(address)(call.address)
        results.append(y.tobytes())
    assert results[0] == results[1]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="elsewhere LLVM loads the code")
def test_all_kernels_are_inlined_and_little_else_is_needed(code: bytes) -> None:
    """A kernel that was called would take arrays, and might call for all of numba's runtime."""
    file = ObjectFile(code)
    # Three entries, the machine, its name for the live loop, that, and the pull.
    assert len([symbol for symbol in file.symbols if symbol.is_function]) == 7
    c_library = {"memset", "memcpy", "memmove"}
    numbers = {"PyLong_AsLongLong", "PyLong_FromLongLong", "PyErr_Occurred", "Py_IncRef", "_Py_NoneStruct"}
    assert set(file.external) <= c_library | numbers | {"PyEval_SaveThread", "PyEval_RestoreThread"}


def test_what_the_linker_does_not_know_is_left_to_llvm(
    code: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(code: bytes, entries: Sequence[str]) -> list[int]:
        raise LinkError("relocation of kind 99")

    monkeypatch.setattr(load, "link", refuse)
    call = Call(np.zeros((0, 12), np.int64), np.zeros(4, np.float32), np.zeros(4, np.float32), 1, 1)
    call.bind(np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32))
    load.load(code).run(call.address)
    assert "relocation of kind 99" in capsys.readouterr().err


def test_code_that_is_none_is_refused() -> None:
    with pytest.raises(LinkError, match="not an ELF object file"):
        link(b"MZ" + bytes(100), [RUN, LIVE])


def test_a_relocation_that_is_not_known_is_refused(code: bytes) -> None:
    # An entry of kind PC32 ends with the addend -4 as a rule.
    pc32, minus_4 = b"\x02\0\0\0", (-4).to_bytes(8, "little", signed=True)
    at = next(at for at in range(len(code)) if code[at : at + 4] == pc32 and code[at + 8 : at + 16] == minus_4)
    broken = code[:at] + b"\x63" + code[at + 1 :]
    with pytest.raises(LinkError, match="relocation of kind 99"):
        link(broken, [RUN, LIVE])


def test_the_compiled_function_takes_a_number_only() -> None:
    with pytest.raises(TypeError):
        run_call("address")  # type: ignore[arg-type]


def test_rows_of_another_program_are_refused() -> None:
    program, row = np.zeros((0, 12), np.int64), np.zeros(4, np.float32)
    with pytest.raises(ValueError, match="x must be"):
        run(program, row, row, np.zeros((3, 4)), np.zeros((3, 4), np.float32))  # type: ignore[arg-type]


def test_warm_says_that_the_machine_is_ready() -> None:
    command = [sys.executable, "-W", "error", "-m", "bmi_decoder.machine.warm"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
    assert done.stdout.startswith("streaming machine ready in ")


def test_warm_fails_where_nothing_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = [sys.executable, "-m", "bmi_decoder.machine.warm"]
    env = os.environ | {"BMI_CACHE_DIR": str(tmp_path / "file" / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode != 0
    assert "cannot keep the compiled machine" in done.stderr
