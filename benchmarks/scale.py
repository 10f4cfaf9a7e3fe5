"""What 10^12 parameters take: measured here, and simulated for 256 machines; see docs/scale.md."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure import HERE, Command, Run, run

MODEL = HERE.parent / "examples" / "trillion.yaml"
NODES = 256
BLOCKS = "num_hidden_layers: 61"
WEIGHTS = "normal_(std=0.02)"
# Bytes a second that a storage takes of all machines together.
STORAGES = (10e9, 50e9, 200e9, 1000e9)


def spread(sizes: Sequence[int], nodes: int) -> list[int]:
    """Return the bytes that each part makes, as `--part` shares shards out."""
    return [sum(sizes[number::nodes]) for number in range(nodes)]


def seconds(loads: Sequence[float], start: float, rate: float, storage: float) -> float:
    """Simulate machines that begin at once, and share what the storage takes equally.

    Args:
        loads: the bytes of each machine.
        start: seconds until it begins to write.
        rate: the bytes a second that it makes and writes alone.
        storage: the bytes a second that the storage takes of all of them.
    """
    done, clock = 0.0, start
    ordered = sorted(loads)
    for index, load in enumerate(ordered):
        # Until the next one is done, all that are left go on at one speed.
        speed = min(rate, storage / (len(ordered) - index))
        clock += (load - done) / speed
        done = load
    return clock


def initgen(folder: Path, *arguments: object) -> Run:
    """Run the command."""
    return run(Command(["-m", "initgen", *map(str, arguments), "--quiet"]), folder)


def planned(folder: Path) -> None:
    """Dry-run models of more and more blocks, with repeats and without."""
    print("\n| tensors | manifest | seconds | peak memory |\n| --- | --- | --- | --- |")
    for blocks in (6, 61, 610):
        manifest, flat = folder / f"{blocks}.yaml", folder / f"{blocks}.json"
        manifest.write_text(MODEL.read_text().replace(BLOCKS, f"num_hidden_layers: {blocks}"))
        # What this process holds would count as memory of those that it starts.
        subprocess.run([sys.executable, __file__, "--flat", manifest, flat], check=True)
        count = flat.read_bytes().count(b'"name"')
        for path, what in ((manifest, "with repeats"), (flat, "every tensor listed")):
            found = initgen(folder, "generate", path, "-o", f"{folder}/m/", "--dry-run")
            size = f"{what}, {path.stat().st_size:,} bytes"
            print(f"| {count:,} | {size} | {found.seconds:.1f} | {found.peak:,.0f} MiB |")


def write_flat(manifest: Path, path: Path) -> None:
    """Write the manifest that lists each tensor of another one."""
    import initlib

    done = initlib.generate(manifest, f"{path}.d/", dry_run=True)
    layers = [
        {"name": each.name, "shape": each.shape, "initializer": each.initializer}
        for each in done.tensors
    ]
    path.write_text(json.dumps({"dtype": "bfloat16", "layers": layers}))


def sparse(folder: Path) -> Run:
    """Make, finish and read the whole with zeros for values, which are holes on a disk."""
    manifest, out = folder / "zeros.yaml", folder / "zeros"
    manifest.write_text(MODEL.read_text().replace(WEIGHTS, "zeros"))
    made = initgen(folder, "generate", manifest, "-o", f"{out}/", "--part", "1/1")
    finished = initgen(folder, "generate", manifest, "-o", f"{out}/", "--finish")
    read = run(Command(["-m", "initgen", "manifest", str(out)]), folder)
    print()
    for what, found in (("--part 1/1", made), ("--finish", finished), ("manifest", read)):
        print(f"zeros, {what}: {found.seconds:.1f} s, {found.peak:,.0f} MiB")
    shards = sorted(out.glob("*.safetensors"))
    headers = [struct.unpack("<Q", path.open("rb").read(8))[0] for path in shards]
    index = (out / "model.safetensors.index.json").stat().st_size
    print(f"{len(shards)} headers of {max(headers):,} bytes at most; index of {index:,} bytes")
    return finished


def messages(folder: Path, most: int) -> None:
    """Print the bytes of what goes to a worker and comes back for a shard of so many tensors."""
    from initlib._generate._spread import make_shard
    from initlib._output import OutputFolder

    claim = OutputFolder.at(folder / "model").claim()
    task = pickle.dumps((make_shard, claim, "0" * 16, 418))
    result = pickle.dumps((str(folder), [os.urandom(32).hex() for _ in range(most)]))
    print(f"a task is {len(task):,} bytes, its result {len(result):,}")


def part(folder: Path) -> Run:
    """Make one of 256 parts, really."""
    made = initgen(folder, "generate", MODEL, "-o", f"{folder}/part/", "--part", f"7/{NODES}")
    print(f"--part 7/{NODES}: {made.seconds:.1f} s, {made.peak:,.0f} MiB")
    return made


def simulated(start: float, rate: float, finish: float) -> None:
    """Print how long 256 machines take with several storages."""
    print(f"\na machine starts in {start:.1f} s, and makes and writes {rate / 1e9:.2f} GB/s\n")
    print("| storage | shards | seconds | busy |\n| --- | --- | --- | --- |")
    for most in (5_000_000_000, 1_000_000_000):
        loads = spread(shard_sizes(MODEL, most), NODES)
        for storage in STORAGES:
            took = seconds(loads, start, rate, storage)
            busy = sum(loads) / min(rate * NODES, storage) / (took - start)
            row = f"{storage / 1e9:,.0f} GB/s", f"{most / 1e9:.0f} GB", f"{took + finish:,.0f}"
            print(f"| {' | '.join(row)} | {busy:.0%} |")


def shard_sizes(manifest: Any, most: int) -> list[int]:
    """Return the bytes of the shards that a manifest's tensors make."""
    from initlib import _manifest, _shards
    from initlib._plan import make_plan

    return [shard.nbytes for shard in _shards.split(make_plan(_manifest.read(manifest)), most)]


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=HERE.parent / "build", help="12 GB free")
    parser.add_argument("--flat", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.flat:
        write_flat(*options.flat)
        return
    options.folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        planned(folder)
        finish = sparse(folder).seconds
        start = initgen(folder, "generate", MODEL, "-o", f"{folder}/m/", "--dry-run").seconds
        made = part(folder)
    messages(options.folder, 184)
    own = spread(shard_sizes(MODEL, 5_000_000_000), NODES)[6]
    simulated(start, own / (made.seconds - start), finish)


if __name__ == "__main__":
    main()
