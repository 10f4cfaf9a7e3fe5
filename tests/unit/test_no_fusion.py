"""Kernels have the operations of the specification: none is fused, reordered or approximate."""

import re

import llvmlite.binding as llvm
import pytest

from initlib._native._compile import optimised
from initlib._stream._engine import kernel

# Processors that could fuse, and how they would.
FUSING = {
    "x86_64-unknown-linux-gnu": ("haswell", r"\tvfn?m(add|sub)"),
    "aarch64-unknown-linux-gnu": ("neoverse-v2", r"\t(fn?m(add|sub)|fml[as]|fmlal)\b"),
}
LICENCE = r"\b(fast|reassoc|contract|nnan|ninf|nsz|arcp|afn)\b"
KERNELS = [
    kernel(law, dtype)
    for law in ("normal", "truncated", "uniform", "inverse")
    for dtype in ("float64", "float32")
]


def assembly(text, triple, processor):
    """The machine code of a module for another processor, as text."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=processor, opt=3)
    text = re.sub(r"(?m)^target (triple|datalayout).*\n", "", text)
    module = llvm.parse_assembly(text)
    module.triple, module.data_layout = triple, str(machine.target_data)
    return machine.emit_assembly(module)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.symbol[:12])
def test_nothing_is_fused(kernel):
    code = str(optimised(kernel))
    operations = re.findall(r"= (?:tail )?(f(?:add|sub|mul|div|neg|cmp) .*|call .*float.*)", code)
    assert len(operations) > 5
    assert [line for line in operations if re.search(LICENCE, line)] == []
    assert re.findall(r"@llvm\.(?:fma|fmuladd)\b", code) == []
    for triple, (processor, fused) in FUSING.items():
        made = assembly(code, triple, processor)
        assert re.findall(r"\t(?:v?mul[sp][sd]|fmul)\b", made), "there is nothing to fuse"
        assert re.findall(fused, made) == []


def test_it_would_be_seen():
    """The search finds what it looks for, in code that may be fused."""
    lines = "%p = fmul contract float %a, %b\n%s = fadd contract float %p, %c\nret float %s"
    code = f"define float @f(float %a, float %b, float %c) {{\n{lines}\n}}"
    assert re.search(LICENCE, code)
    for triple, (processor, fused) in FUSING.items():
        assert re.search(fused, assembly(code, triple, processor)), triple
