"""Measured lines, and the Markdown tables made of them."""

from __future__ import annotations

import math
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from initlib import __version__

PACKAGES = ("numpy", "numba", "torch", "jax", "keras", "safetensors", "h5py")


@dataclass(frozen=True)
class Target:
    """A bound: `sign` is ">=" or "<="."""

    sign: str
    bound: float

    def met(self, value: float) -> bool:
        """Tell whether a value keeps to it."""
        return value >= self.bound if self.sign == ">=" else value <= self.bound


@dataclass(frozen=True)
class Line:
    """One thing measured several times.

    Attributes:
        what: what was done.
        by: what did it.
        unit: of the samples.
        samples: one for each repetition.
        gain: how many times faster initgen is, on the medians; None where nothing is compared.
        target: for the gain if there is one, else for the median.
        peak: the most memory held, in MiB.
        x: what it is drawn over in a plot: MiB, tensors or threads.
    """

    what: str
    by: str
    unit: str
    samples: Sequence[float]
    gain: float | None = None
    target: Target | None = None
    peak: float | None = None
    x: float | None = None

    @property
    def median(self) -> float:
        """The median of the samples."""
        return statistics.median(self.samples)

    @property
    def met(self) -> bool | None:
        """Whether the target is met."""
        if self.target is None:
            return None
        return self.target.met(self.median if self.gain is None else self.gain)

    def as_dict(self) -> dict[str, Any]:
        """Return it all as plain data."""
        return {**asdict(self), "median": self.median, "met": self.met}

    def cells(self, *, judged: bool) -> list[str]:
        """Return what stands in the table."""
        verdict = ""
        if self.target is not None:
            sign = {">=": "≥", "<=": "≤"}[self.target.sign]
            unit = f" {self.unit}" if self.gain is None else "x"
            verdict = f"{sign} {self.target.bound:g}{unit}"
            if judged:
                verdict += ": met" if self.met else ": **missed**"
        return [
            self.what,
            self.by,
            f"{number(self.median)} {self.unit}",
            f"{number(min(self.samples))} to {number(max(self.samples))}",
            "" if self.peak is None else f"{self.peak:,.0f} MiB",
            "" if self.gain is None else f"{number(self.gain)}x",
            verdict,
        ]


HEADER = ["what", "by", "median", "range", "peak memory", "initgen's speed", "target"]


def table(lines: Sequence[Line], *, judged: bool) -> str:
    """Return lines as a Markdown table.

    Args:
        lines: the rows.
        judged: say whether targets are met, which a quick run can't.
    """
    rows = [HEADER, ["---"] * len(HEADER), *(line.cells(judged=judged) for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def number(x: float) -> str:
    """Return a number with three digits, or all before the point."""
    digits = 2 - math.floor(math.log10(x)) if x > 0 else 0
    return f"{x:,.{max(digits, 0)}f}"


def environment() -> dict[str, str]:
    """Return what the figures depend on."""
    facts = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((f.partition(":")[2].strip() for f in facts if f.startswith("model name")), "?")
    return {
        "cpu": f"{cpu}, {len(os.sched_getaffinity(0))} cores",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "initgen": __version__,
        **{name: version(name) for name in PACKAGES},
    }
