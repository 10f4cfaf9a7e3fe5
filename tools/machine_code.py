"""What the compiler made of the kernels: a table of their innermost loops on this machine.

    python tools/machine_code.py [FOLDER]

A row has the values that a round of the loop makes, and the instructions for each; and of all the
round's instructions those on vectors of 512, 256 and 128 bits, those with vectors on the stack,
where registers have run out, and gathers and scatters, of which there should be none. With a
folder, the loops are written to files in it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from initlib._native import Kernel
from initlib._native._compile import optimised
from initlib._native._machine import target
from initlib._stream._engine import STORED, kernel

BLOCK = {True: 2, False: 4}  # values to a Philox block: of float64, of others
# A block takes 20 multiplications, of which those of the constant counter words are done before.
MULTIPLICATIONS = 19


def assembly(kernel: Kernel) -> str:
    """Return a kernel's machine code as text."""
    text: str = target().emit_assembly(optimised(kernel))
    return text


def innermost(text: str) -> str:
    """Return the loop that does the work: the piece between labels with the most vectors."""
    pieces = re.split(r"\n(?=\.LBB)", text)
    return max(pieces, key=lambda piece: len(re.findall(r"[zy]mm|\bv\d+\.", piece)))


def row(transform: str, dtype: str) -> tuple[str, list[str]]:
    """Return a kernel's innermost loop and its row of the table."""
    loop = innermost(assembly(kernel(transform, dtype)))
    lines = [line for line in loop.splitlines() if re.match(r"\t[a-z]", line)]
    lanes = 8 if "zmm" in loop else 4 if "ymm" in loop else 2
    multiplications = sum("vpmuludq" in line for line in lines)
    values = multiplications / MULTIPLICATIONS * lanes * BLOCK[dtype == "float64"]
    widths = [sum(width in line for line in lines) for width in ("zmm", "ymm", "xmm")]
    stack = sum("mm" in line and "(%rsp)" in line for line in lines)
    gathers = sum("gather" in line or "scatter" in line for line in lines)
    counts = [len(lines), *widths, stack, gathers]
    per_value = f"{len(lines) / values:.1f}" if values else "?"
    return loop, [transform, dtype, f"{values:.0f}", per_value, *map(str, counts[1:])]


def main() -> None:
    names = "transform dtype values instructions zmm ymm xmm stack gathers"
    print(f"| {' | '.join(names.split())} |")
    print("|" + " --- |" * 9)
    for transform in ("uniform", "normal", "truncated", "inverse"):
        for dtype in STORED:
            loop, cells = row(transform, dtype)
            print(f"| {' | '.join(cells)} |")
            if len(sys.argv) > 1:
                Path(sys.argv[1], f"{transform}-{dtype}.s").write_text(loop)


main()
