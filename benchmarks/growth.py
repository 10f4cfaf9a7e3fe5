"""How time and memory grow: with the file, the number of tensors, and the threads."""

from __future__ import annotations

from measure import Command, Run, in_turn, remove, run
from report import Line
from rows import CHUNK, INITGEN, PEERS, THREADS, Bench, seconds

WRITERS_OF_PEERS = {
    "torch": "torch_file.py",
    "Keras (JAX)": "keras_file.py",
    "JAX": "jax_file.py",
    "NumPy": "numpy_file.py",
}
NORMAL = "normal(stddev=0.02)"


def sizes(bench: Bench) -> list[Line]:
    """Write files of growing size, of 64 MiB tensors."""
    lines = []
    for mib in (64, 256) if bench.quick else (64, 256, 1024, 4096, 8192):
        out = bench.folder / "out.safetensors"
        zeros = (PEERS / "zeros_file.py", out, str(mib // 64), str(THREADS), str(CHUNK), "direct")
        commands = {
            "initgen": _initgen(bench, mib // 64, 4096),
            "zeros, `pwritev`": Command(zeros, out),
            **_peers(bench, mib // 64, 4096),
        }
        repeats = 1 if bench.quick or mib > 1024 else 3
        lines += _compared(bench, commands, repeats, f"{mib:,} MiB, normal", mib)
    return lines


def counts(bench: Bench) -> list[Line]:
    """Write more and more small tensors, of 1 KiB."""
    lines = []
    for count in (10, 100) if bench.quick else (10, 100, 1_000, 10_000, 100_000):
        commands = {
            "initgen": _initgen(bench, count, 16),
            "initgen, HDF5": _initgen(bench, count, 16, suffix="h5"),
            **_peers(bench, count, 16),
        }
        repeats = 1 if bench.quick or count > 10_000 else 3
        lines += _compared(bench, commands, repeats, f"{count:,} tensors of 1 KiB", count)
    return lines


def threads(bench: Bench) -> list[Line]:
    """Write 1 GiB by one thread, two, and more than there are cores."""
    tensors = 2 if bench.quick else 16
    lines = []
    for initializer in (NORMAL, "orthogonal"):
        what = initializer.partition("(")[0]
        side = 4096 if what == "normal" else 2048
        commands = {
            count: _initgen(bench, tensors, side, initializer, "--threads", str(count))
            for count in sorted({1, 2, THREADS, 2 * THREADS})
        }
        runs = in_turn(commands, 1 if bench.quick else 5, bench.folder)
        alone = seconds("", "", runs[1]).median
        for count, found in runs.items():
            line = seconds(f"{tensors} x {side}², {what}, {count} threads", "initgen", found)
            lines.append(seconds(line.what, line.by, found, alone / line.median, x=count))
    return lines


def _initgen(
    bench: Bench,
    count: int,
    side: int,
    initializer: str = NORMAL,
    *options: str,
    suffix: str = "safetensors",
) -> Command:
    out = bench.folder / f"initgen.{suffix}"
    layer = {"name": "h.{i}.kernel", "shape": [side, side], "initializer": initializer}
    name = f"{initializer.partition('(')[0]}-{count}-{side}"
    source = bench.manifest(name, [{"repeat": {"i": count}, "layers": [layer]}])
    return Command((*INITGEN, "generate", source, "--output", out, *options), out)


def _peers(bench: Bench, count: int, side: int) -> dict[str, Command]:
    out = bench.folder / "out.safetensors"
    env = {"KERAS_BACKEND": "jax"}
    arguments = (out, "normal", str(count), str(side))
    return {
        by: Command((PEERS / script, *arguments), out, env)
        for by, script in WRITERS_OF_PEERS.items()
    }


def _compared(
    bench: Bench, commands: dict[str, Command], repeats: int, what: str, x: int
) -> list[Line]:
    """Run commands in turn; initgen's speed is given for each."""
    if repeats > 1:
        for command in commands.values():
            run(command, bench.folder)
            remove(command.output)
    runs: dict[str, list[Run]] = in_turn(commands, repeats, bench.folder)
    ours = seconds(what, "initgen", runs["initgen"]).median
    return [
        seconds(what, by, found, None if by == "initgen" else _median(found) / ours, x=x)
        for by, found in runs.items()
    ]


def _median(runs: list[Run]) -> float:
    return seconds("", "", runs).median
