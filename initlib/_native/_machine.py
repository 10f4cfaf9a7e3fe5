"""LLVM, by way of llvmlite alone: importing Numba takes ten times as long."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from initlib._native._kernel import Function, Kernel

# What memory the machine code is in goes with these.
_engines: list[Any] = []


@cache
def description() -> str:
    """Return what machine code depends on besides its source, as text."""
    cpu, features = _processor()
    return f"{llvmlite.__version__} {llvm.get_process_triple()} {cpu} {features}"


def _processor() -> tuple[str, str]:
    """Return the processor's name and features, or those that Numba is told to go by."""
    name, features = os.environ.get("NUMBA_CPU_NAME"), os.environ.get("NUMBA_CPU_FEATURES")
    if features is None:
        features = llvm.get_host_cpu_features().flatten() if name is None else ""
    return name or llvm.get_host_cpu_name(), features


@cache
def target() -> Any:
    """Return LLVM's description of this machine."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    cpu, features = _processor()
    triple = llvm.Target.from_triple(llvm.get_process_triple())
    return triple.create_target_machine(cpu=cpu, features=features, opt=3)


def as_module(text: str, function: str, symbol: str) -> Any:
    """Return optimised LLVM code as a module.

    Args:
        text: the code.
        function: the name of what is wanted of it; nothing else is kept.
        symbol: what that is called in the module.
    """
    module = llvm.parse_assembly(text)
    module.get_function(function).name = symbol
    _drop_errors(module)
    # LLVM would end the process if it met a name that it doesn't know.
    missing = [f.name for f in module.functions if f.is_declaration and f.name[:5] != "llvm."]
    if missing:
        raise NotImplementedError(f"{symbol} calls {', '.join(missing)}")
    return module


def machine_code(module: Any) -> bytes:
    """Translate a module for this machine."""
    code: bytes = target().emit_object(module)
    return code


def _drop_errors(module: Any) -> None:
    """Drop what deals with exceptions, once LLVM has seen that the kernel raises none."""
    passes = llvm.create_new_module_pass_manager()
    passes.add_ipsccp_pass()
    passes.add_simplify_cfg_pass()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(target(), llvm.create_pipeline_tuning_options()))


def function_in(code: bytes, kernel: Kernel) -> Function:
    """Return the function that `machine_code` made of a kernel."""
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    function: Function = kernel.prototype(engine.get_function_address(kernel.symbol))
    return function
