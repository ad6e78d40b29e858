"""``python -m bmi_decoder.machine.compile FILE``: compile the machine with numba into a native object file.

The object holds the functions `RUN` and `LIVE`, each with the signature of a Python built-in that takes one argument:
so they can be called from Python without numba, and without ctypes in between, which is slow on cold caches. And it
holds `PULL`, which the live loop calls.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from numba.core.registry import cpu_target

from bmi_decoder.machine.code_cache import write_code
from bmi_decoder.machine.live.feed import pull
from bmi_decoder.machine.live.foreign import PROGRAM
from bmi_decoder.machine.live.loop import live
from bmi_decoder.machine.load import ENTRIES, LIVE, PULL, RUN
from bmi_decoder.machine.run import machine

_LEVEL = 3

_DECLARATIONS = """
declare i64 @PyLong_AsLongLong(ptr)
declare ptr @PyLong_FromLongLong(i64)
declare ptr @PyErr_Occurred()
declare void @Py_IncRef(ptr)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
@_Py_NoneStruct = external global i8
"""

# What numba compiles returns a status and takes two places, for a result and a failure; there are no failures here.
_WRAPPER = """
declare i32 @{function}(ptr, ptr, i64)
define ptr @{entry}(ptr %self, ptr %argument) {{
    %result = alloca i64
    %failure = alloca ptr
    %address = call i64 @PyLong_AsLongLong(ptr %argument)
    %suspect = icmp eq i64 %address, -1
    br i1 %suspect, label %refuse, label %run
refuse:
    %error = call ptr @PyErr_Occurred()
    %wrong = icmp ne ptr %error, null
    br i1 %wrong, label %fail, label %run
fail:
    ret ptr null
run:
    {body}
}}
"""

_KEEPS_THE_LOCK = """%status = call i32 @{function}(ptr %result, ptr %failure, i64 %address)
    call void @Py_IncRef(ptr @_Py_NoneStruct)
    ret ptr @_Py_NoneStruct"""

_LETS_OTHERS_RUN = """%thread = call ptr @PyEval_SaveThread()
    %status = call i32 @{function}(ptr %result, ptr %failure, i64 %address)
    call void @PyEval_RestoreThread(ptr %thread)
    %outcome = load i64, ptr %result
    %number = call ptr @PyLong_FromLongLong(i64 %outcome)
    ret ptr %number"""

_PROGRAM = f"""
declare i32 @{{function}}(ptr, ptr, i64)
define void @{PROGRAM}(i64 %address) {{{{
    %result = alloca ptr
    %failure = alloca ptr
    %status = call i32 @{{function}}(ptr %result, ptr %failure, i64 %address)
    ret void
}}}}
"""


# Called by its address, as a function of liblsl's would be.
_PULL = f"""
declare i32 @{{function}}(ptr, ptr, i64, i64, i64, i64, i64, double, i64)
define i64 @{PULL}(i64 %feed, i64 %sample, i64 %stamp, i64 %n, i64 %one, double %timeout, i64 %error) {{{{
    %result = alloca i64
    %failure = alloca ptr
    %status = call i32 @{{function}}(
        ptr %result, ptr %failure, i64 %feed, i64 %sample, i64 %stamp, i64 %n, i64 %one, double %timeout, i64 %error)
    %got = load i64, ptr %result
    ret i64 %got
}}}}
"""


def compile_machine() -> bytes:
    """The machine, the live loop and its pull as a position-independent object file for this processor."""
    module = llvm.parse_assembly(_DECLARATIONS)
    program = _add(module, machine, "void(int64)")
    _add_text(module, _WRAPPER.format(entry=RUN, function=program, body=_KEEPS_THE_LOCK.format(function=program)))
    _add_text(module, _PROGRAM.format(function=program))
    # Numba wants an address for every name that it meets; this one is resolved below, and never called here.
    llvm.add_symbol(PROGRAM, 1)
    loop = _add(module, live, "int64(int64)")
    _add_text(module, _WRAPPER.format(entry=LIVE, function=loop, body=_LETS_OTHERS_RUN.format(function=loop)))
    _add_text(module, _PULL.format(function=_add(module, pull, "int64(int64,int64,int64,int64,int64,float64,int64)")))
    for value in (*module.functions, *module.global_variables):
        # Only what the entries need is left over.
        if not value.is_declaration and value.name not in ENTRIES:
            value.linkage = "internal"
    target = _target_machine()
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.add_strip_dead_prototype_pass()
    passes.run(module, llvm.create_pass_builder(target, llvm.create_pipeline_tuning_options(_LEVEL)))
    module.verify()
    code: bytes = target.emit_object(module)
    return code


def _add(module: llvm.ModuleRef, dispatcher: Any, signature: str) -> str:
    """Put a compiled function into the module; returns its name there."""
    dispatcher.compile(signature)
    (overload,) = dispatcher.overloads.values()
    module.link_in(llvm.parse_assembly(dispatcher.inspect_llvm(overload.signature.args)))
    function: str = overload.fndesc.llvm_func_name
    return function


def _add_text(module: llvm.ModuleRef, assembly: str) -> None:
    module.link_in(llvm.parse_assembly(_DECLARATIONS + assembly))


def _target_machine() -> llvm.TargetMachine:
    triple, processor, features = cpu_target.target_context.codegen().magic_tuple()
    return llvm.Target.from_triple(triple).create_target_machine(
        cpu=processor, features=features, opt=_LEVEL, reloc="pic", codemodel="small"
    )


if __name__ == "__main__":
    write_code(Path(sys.argv[1]), compile_machine())
