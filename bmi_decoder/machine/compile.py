"""``python -m bmi_decoder.machine.compile FILE``: compile the machine with numba into a native object file.

The object holds one function, `ENTRY`, with the signature of a Python built-in that takes one argument: so it can be
called from Python without numba, and without ctypes in between, which is slow on cold caches.
"""

from __future__ import annotations

import sys
from pathlib import Path

import llvmlite.binding as llvm
from numba.core.registry import cpu_target

from bmi_decoder.machine.code_cache import write_code
from bmi_decoder.machine.load import ENTRY
from bmi_decoder.machine.run import machine

_SIGNATURE = "void(int64)"
_LEVEL = 3

# What numba compiles returns a status and takes two places, for a result and a failure; the machine has neither.
_WRAPPER = """
declare i64 @PyLong_AsLongLong(ptr)
declare ptr @PyErr_Occurred()
declare void @Py_IncRef(ptr)
declare i32 @{function}(ptr, ptr, i64)
@_Py_NoneStruct = external global i8
define ptr @{entry}(ptr %self, ptr %argument) {{
    %result = alloca ptr
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
    %status = call i32 @{function}(ptr %result, ptr %failure, i64 %address)
    call void @Py_IncRef(ptr @_Py_NoneStruct)
    ret ptr @_Py_NoneStruct
}}
"""


def compile_machine() -> bytes:
    """The machine as a position-independent object file for this processor."""
    machine.compile(_SIGNATURE)
    (overload,) = machine.overloads.values()
    function = overload.fndesc.llvm_func_name
    module = llvm.parse_assembly(_WRAPPER.format(entry=ENTRY, function=function))
    module.link_in(llvm.parse_assembly(machine.inspect_llvm(overload.signature.args)))
    for value in (*module.functions, *module.global_variables):
        # Only what the entry needs is left over.
        if not value.is_declaration and value.name != ENTRY:
            value.linkage = "internal"
    target = _target_machine()
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.add_strip_dead_prototype_pass()
    passes.run(module, llvm.create_pass_builder(target, llvm.create_pipeline_tuning_options(_LEVEL)))
    module.verify()
    code: bytes = target.emit_object(module)
    return code


def _target_machine() -> llvm.TargetMachine:
    triple, processor, features = cpu_target.target_context.codegen().magic_tuple()
    return llvm.Target.from_triple(triple).create_target_machine(
        cpu=processor, features=features, opt=_LEVEL, reloc="pic", codemodel="small"
    )


if __name__ == "__main__":
    write_code(Path(sys.argv[1]), compile_machine())
