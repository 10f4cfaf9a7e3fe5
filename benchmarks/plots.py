"""Pictures of how time and memory grow, from the rows of "sizes", "counts" and "threads".

python plots.py RESULTS.json FOLDER
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

Rows = list[dict[str, Any]]

mpl.use("Agg")
# initgen stands out, and whoever can't tell the colours has the markers.
STYLES = {
    "initgen": {"color": "#0b6e4f", "marker": "o", "linewidth": 2.5, "zorder": 5},
    "initgen, HDF5": {"color": "#7fb069", "marker": "o", "linestyle": "--", "zorder": 4},
    "zeros, `pwritev`": {"color": "#888888", "marker": ".", "linestyle": ":"},
    "torch": {"color": "#d1495b", "marker": "s"},
    "Keras (JAX)": {"color": "#8e5572", "marker": "v"},
    "JAX": {"color": "#2e86ab", "marker": "^"},
    "NumPy": {"color": "#edae49", "marker": "D"},
}


def draw(results: dict[str, Rows], folder: Path) -> None:
    """Draw what there are rows of."""
    with plt.style.context({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3}):
        if "sizes" in results:
            _pair(results["sizes"], "MiB written", folder / "growth-size.png")
        if "counts" in results:
            _pair(results["counts"], "tensors of 1 KiB", folder / "growth-tensors.png")
        if "threads" in results:
            _threads(results["threads"], folder / "growth-threads.png")


def _pair(rows: Rows, across: str, path: Path) -> None:
    """Draw seconds and peak memory, both axes logarithmic."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    lines: dict[str, Rows] = defaultdict(list)
    for row in rows:
        lines[row["by"]].append(row)
    for by, points in lines.items():
        x = [point["x"] for point in points]
        left.loglog(
            x, [point["median"] for point in points], label=by.replace("`", ""), **_style(by)
        )
        right.loglog(x, [point["peak"] for point in points], **_style(by))
    left.set(xlabel=across, ylabel="seconds, from start to exit")
    right.set(xlabel=across, ylabel="peak memory, MiB")
    figure.legend(loc="outside upper center", ncols=len(lines), frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _style(by: str) -> dict[str, Any]:
    return {"markersize": 4, "linewidth": 1.3, **STYLES.get(by, {})}


def _threads(rows: Rows, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(5, 3.4), layout="constrained")
    lines: dict[str, Rows] = defaultdict(list)
    for row in rows:
        lines[row["what"].split(",")[1].strip()].append(row)
    for law, points in lines.items():
        x = [point["x"] for point in points]
        axes.plot(x, [point["gain"] for point in points], marker="o", label=law)
    axes.set(xlabel="threads", ylabel="times as fast as with one", ylim=(0, None))
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text())["rows"], Path(sys.argv[2]))
