"""Write 8 GiB in shards by two threads, and by two processes that are there already.

Prints {who: [seconds, ...]} as JSON. Arguments: a folder, how often, and how many GiB.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import initlib


def main(folder: Path, repeats: int, gib: int) -> None:
    from distributed import Client, LocalCluster

    layer = {"name": "h.{i}.w", "shape": [4096, 4096], "initializer": "normal(stddev=0.02)"}
    manifest = folder / "m.json"

    def run(engine: Any, count: int) -> float:
        manifest.write_text(json.dumps({"layers": [{"repeat": {"i": count}, "layers": [layer]}]}))
        options: dict[str, Any] = {"threads": 2} if engine is None else {"engine": engine}
        begin = time.perf_counter()
        initlib.generate(manifest, folder / "out", max_shard_size="512MiB", **options)
        seconds = time.perf_counter() - begin
        shutil.rmtree(folder / "out")
        return seconds

    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    processes = ProcessPoolExecutor(2, multiprocessing.get_context("spawn"))
    with cluster, Client(cluster) as client, processes:
        engines = {"two threads": None, "two processes": processes, "two Dask workers": client}
        found: dict[str, list[float]] = {who: [] for who in engines}
        for engine in engines.values():
            # Imports and kernels; each process gets some of it.
            run(engine, 64)
        for i in range(repeats):
            for who in [*engines][i % 3 :] + [*engines][: i % 3]:
                found[who].append(run(engines[who], 16 * gib))
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
