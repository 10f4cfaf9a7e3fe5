"""Measure initgen beside torch, Keras, JAX and NumPy; print Markdown tables.

docs/performance.md says what the rows mean and what came out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import growth
from measure import HERE
from report import environment, table
from rows import ROWS as FIGURES
from rows import Bench

ROWS = {**FIGURES, "sizes": growth.sizes, "counts": growth.counts, "threads": growth.threads}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute, small files, no verdicts")
    parser.add_argument("--only", action="append", choices=ROWS, help="measure only these rows")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples to a file")
    parser.add_argument(
        "--folder",
        type=Path,
        default=HERE.parent / "build",
        help="on the disk to measure, with 20 GiB free [default: build]",
    )
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw how figures grow")
    options = parser.parse_args()
    facts = environment()
    print(" · ".join(f"{name} {fact}" for name, fact in facts.items()), flush=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    results = {}
    for name in options.only or ROWS:
        print(f"{name} ...", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            lines = ROWS[name](Bench(Path(folder), options.quick))
        print(f"\n### {name}\n\n{table(lines, judged=not options.quick)}", flush=True)
        results[name] = [line.as_dict() for line in lines]
    if options.plots is not None:
        import plots

        plots.draw(results, options.plots)
    if options.json is not None:
        options.json.write_text(json.dumps({"environment": facts, "rows": results}, indent=1))


main()
