"""What is measured: each function measures one group of rows and returns its lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from measure import HERE, UNSET, Command, Run, check_std, in_turn, remove, run
from report import Line, Target

INITGEN = ("-m", "initgen")
PEERS = HERE / "peers"
SQUARE = [4096, 4096]  # 64 MiB of float32
KERAS = {"KERAS_BACKEND": "jax"}
THREADS = len(os.sched_getaffinity(0))
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"
IO_PATH = "direct"  # how initgen writes large tensors: see peers/zeros_file.py
CHUNK = 2 << 20  # initgen's largest
KEPT_BY_CUT = 0.87962566103423978  # of the stddev, where a normal is cut at two


@dataclass(frozen=True)
class Bench:
    """Where files go, and how long it may take.

    Attributes:
        folder: an empty folder on the disk that is to be measured.
        quick: fewer repetitions and smaller files.
    """

    folder: Path
    quick: bool

    def manifest(self, name: str, layers: list[Any], **top: Any) -> Path:
        """Write a manifest; JSON is YAML, too."""
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps({"seed": 42, **top, "layers": layers}))
        return path

    def squares(self, initializer: str, count: int, **top: Any) -> Path:
        """Write a manifest of `count` tensors of 64 MiB (float32)."""
        layer = {"name": "h.{i}.kernel", "shape": SQUARE, "initializer": initializer}
        name = f"{initializer.partition('(')[0]}-{count}-{'-'.join(top.values())}"
        return self.manifest(name, [{"repeat": {"i": count}, "layers": [layer]}], **top)


def kernels(bench: Bench) -> list[Line]:
    """Make arrays in one thread."""
    targets = {
        ("normal", "torch `normal_`"): 2.2,
        ("normal", "NumPy `standard_normal`"): 5,
        ("uniform", "torch `uniform_`"): 2.5,
        ("truncated", "torch `trunc_normal_`"): 25,
    }
    lines = []
    for mib, repeats in [(CHUNK >> 20, 3)] if bench.quick else [(CHUNK >> 20, 9), (256, 3)]:
        command = [sys.executable, str(HERE / "kernels.py"), str(mib), str(repeats)]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "XLA_FLAGS": ONE_THREAD}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=env)
        rows = json.loads(done.stdout)
        ours = {(name, dtype): median(rates) for name, dtype, by, rates in rows if by == "initgen"}
        for name, dtype, by, rates in rows:
            gain = None if by == "initgen" else ours[name, dtype] / median(rates)
            bound = targets.get((name, by))
            target = None if bound is None else Target(">=", bound)
            what = f"{name}, {dtype}, {mib * 2**18:,} values"
            lines.append(Line(what, by, "million/s", rates, gain, target))
    return lines


def start(bench: Bench) -> list[Line]:
    """Start the command."""
    layers = [
        {"name": "dense/kernel", "shape": [784, 256], "initializer": "glorot_uniform"},
        {"name": "dense/bias", "shape": [256], "initializer": "zeros"},
        {"name": "head/kernel", "shape": [256, 10], "initializer": "he_normal"},
        {"name": "head/bias", "shape": [10], "initializer": "zeros"},
    ]
    small = bench.manifest("small", layers)
    files = {suffix: bench.folder / f"small.{suffix}" for suffix in ("safetensors", "h5")}
    commands = {
        "`python -c pass`": Command(("-c", "pass")),
        "`initgen --help`": Command((*INITGEN, "--help")),
        "`initgen --version`": Command((*INITGEN, "--version")),
        **{
            f"4 small layers to {suffix}": Command(
                (*INITGEN, "generate", small, "--output", file), file
            )
            for suffix, file in files.items()
        },
    }
    in_turn(commands, 1, bench.folder)  # makes bytecode
    runs = in_turn(commands, 3 if bench.quick else 15, bench.folder)
    targets = {"`initgen --help`": 0.2, "4 small layers to safetensors": 0.6}
    lines = []
    for what, found in runs.items():
        target = Target("<=", targets[what]) if what in targets else None
        by = "Python" if what.startswith("`python") else "initgen"
        lines.append(seconds(what, by, found, target=target))
    return lines


def files(bench: Bench) -> list[Line]:
    """Write 1 GiB: initgen and the ways that people have today."""
    count = 2 if bench.quick else 16
    targets = {
        "truncated": {"Keras (JAX)": 8, "torch": 20},
        "normal": {"torch": 4},
    }
    initializers = {"truncated": "truncated_normal(stddev=0.02)", "normal": "normal(stddev=0.02)"}
    lines = []
    for law, initializer in initializers.items():
        stddev = 0.02 * (KEPT_BY_CUT if law == "truncated" else 1)
        for command in _writers(bench, law, initializer, 1).values():
            # Compiles kernels and bytecode, and brings libraries into memory.
            run(command, bench.folder)
            check_std(bench.folder / "out.safetensors", stddev)
            remove(command.output)
        commands = _writers(bench, law, initializer, count)
        runs = in_turn(commands, 1 if bench.quick else 5, bench.folder)
        ours = median(r.seconds for r in runs["initgen"])
        for by, found in runs.items():
            what = f"{count * 64} MiB, {law}"
            if by.startswith("initgen"):
                lines.append(seconds(what, by, found))
                continue
            gain = median(r.seconds for r in found) / ours
            bound = targets[law].get(by)
            target = None if bound is None else Target(">=", bound)
            lines.append(seconds(what, by, found, gain, target))
            synced = [r.synced for r in found]
            lines.append(Line(what, f"{by}, then fsync", "s", synced, median(synced) / ours))
    return lines


def _writers(bench: Bench, law: str, initializer: str, count: int) -> dict[str, Command]:
    """Return the commands that write `count` tensors."""
    out = bench.folder / "out.safetensors"
    ours = (*INITGEN, "generate", bench.squares(initializer, count), "--output", out)
    scripts = {
        "Keras (JAX)": "keras_file.py",
        "torch": "torch_file.py",
        "JAX": "jax_file.py",
        "NumPy": "numpy_file.py",
    }
    return {
        "initgen": Command(ours, out),
        "initgen, first run": Command(ours, out, cold=True),
        **{
            by: Command((PEERS / script, out, law, str(count), "4096"), out, KERAS)
            for by, script in scripts.items()
        },
    }


def disk(bench: Bench) -> list[Line]:
    """Write 4 and 16 GiB: values, and zeros by the same path."""
    lines = []
    for count in (2, 4) if bench.quick else (64, 256):
        lines += _disk(bench, count, cached=count < 256)
    return lines


def _disk(bench: Bench, count: int, *, cached: bool) -> list[Line]:
    """Write so many tensors of 64 MiB; zeros through the page cache, too, if that is wanted."""
    out = bench.folder / "out.safetensors"
    size = f"{count * 64:,} MiB"
    commands = {}
    for path in ("cached", "direct")[not cached :]:
        args = (out, str(count), str(THREADS), str(CHUNK), path)
        commands[f"{size}, zeros, {path}"] = Command((PEERS / "zeros_file.py", *args), out)
    kinds = {"float32": ("normal", "truncated_normal"), "bfloat16": ("truncated_normal",)}
    for dtype, initializers in kinds.items():
        for initializer in initializers:
            tensors = count * (2 if dtype == "bfloat16" else 1)
            source = bench.squares(initializer, tensors, dtype=dtype)
            ours = Command((*INITGEN, "generate", source, "--output", out), out)
            commands[f"{size}, {dtype}, {initializer}"] = ours
    in_turn(commands, 1, bench.folder)
    runs = in_turn(commands, 1 if bench.quick else 5, bench.folder)
    zeros = median(r.seconds for r in runs[f"{size}, zeros, {IO_PATH}"])
    lines = []
    for what, found in runs.items():
        if "zeros" in what:
            lines.append(seconds(what, "`pwritev`", found))
        else:
            gain = zeros / median(r.seconds for r in found)
            lines.append(seconds(what, "initgen", found, gain, Target(">=", 0.9)))
    return lines


def memory(bench: Bench) -> list[Line]:
    """Write one tensor of growing size; see what memory it takes."""
    lines = []
    for suffix in ("safetensors", "h5"):
        for mib in (64, 256) if bench.quick else (64, 1024, 4096):
            layer = {"name": "kernel", "shape": [mib * 64, 4096], "initializer": "he_normal"}
            source = bench.manifest("one", [layer])
            out = bench.folder / f"one.{suffix}"
            command = Command((*INITGEN, "generate", source, "--output", out), out)
            runs = in_turn({"one": command}, 1 if bench.quick else 3, bench.folder)["one"]
            peaks = [r.peak for r in runs]
            what = f"one tensor of {mib:,} MiB to {suffix}"
            lines.append(Line(what, "initgen", "MiB", peaks, target=Target("<=", 200)))
    return lines


def tensors(bench: Bench) -> list[Line]:
    """Write very many tensors."""
    count = 4_000 if bench.quick else 100_000
    parts = ("q", "k", "v", "o")
    shape = {"shape": [16, 16], "initializer": "he_normal"}
    body = [{"name": f"h.{{i}}.{part}", **shape} for part in parts]
    repeated = bench.manifest("repeated", [{"repeat": {"i": count // 4}, "layers": body}])
    names = [f"h.{i}.{part}" for i in range(count // 4) for part in parts]
    listed = bench.manifest("listed", [{"name": name, **shape} for name in names])
    as_json = listed.rename(listed.with_suffix(".json"))
    commands = {}
    for suffix in ("safetensors", "h5"):
        out = bench.folder / f"many.{suffix}"
        for how, source in {"by `repeat`": repeated, "listed in JSON": as_json}.items():
            what = f"{count:,} tensors {how} to {suffix}"
            commands[what] = Command((*INITGEN, "generate", source, "--output", out), out)
    runs = in_turn(commands, 1 if bench.quick else 2, bench.folder)
    target = Target("<=", 10)
    return [seconds(what, "initgen", found, target=target) for what, found in runs.items()]


def describe(bench: Bench) -> list[Line]:
    """Look at 1 GiB that is in memory: initgen and what people write today."""
    mib = 128 if bench.quick else 1024
    files = {}
    for dtype, size in {"float32": 4, "bfloat16": 2, "float8_e4m3fn": 1, "float64": 8}.items():
        source = bench.squares("normal(stddev=0.02)", mib // 16 // size, dtype=dtype)
        files[dtype] = bench.folder / f"{dtype}.safetensors"
        run(Command((*INITGEN, "generate", source, "--output", files[dtype])), bench.folder)
    commands = {dtype: Command((*INITGEN, "describe", path)) for dtype, path in files.items()}
    for by in ("NumPy", "torch"):
        commands[by] = Command((PEERS / f"{by.lower()}_figures.py", files["float32"]))
    in_turn(commands, 1, bench.folder)  # compiles, and brings libraries and files into memory
    runs = in_turn(commands, 1 if bench.quick else 3, bench.folder)
    ours = median(r.seconds for r in runs["float32"])
    lines = []
    for name, found in runs.items():
        if name in files:
            lines.append(seconds(f"{mib} MiB, {name}", "initgen", found))
        else:
            gain = median(r.seconds for r in found) / ours
            lines.append(seconds(f"{mib} MiB, float32", name, found, gain, Target(">=", 1)))
    command = [sys.executable, HERE / "describe.py", "3" if bench.quick else "9", *files.values()]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    for dtype, rates in zip(files, json.loads(done.stdout), strict=True):
        target = Target(">=", 1.5) if dtype == "float32" else None
        what = f"{mib} MiB, {dtype}, once loaded"
        lines.append(Line(what, "initlib.describe", "GB/s", rates, target=target))
    return lines


def verify(bench: Bench) -> list[Line]:
    """Make 1 GiB again and compare it, beside making it the first time."""
    mib = 128 if bench.quick else 1024
    commands = {}
    for initializer, dtype in (
        ("normal(stddev=0.02)", "float32"),
        ("truncated_normal(stddev=0.02)", "float32"),
        ("normal(stddev=0.02)", "bfloat16"),
    ):
        law = initializer.partition("(")[0]
        count = mib // 64 * (2 if dtype == "bfloat16" else 1)
        source = bench.squares(initializer, count, dtype=dtype)
        file = bench.folder / f"{law}-{dtype}.safetensors"
        run(Command((*INITGEN, "generate", source, "--output", file)), bench.folder)
        what = f"{mib} MiB, {law}, {dtype}"
        out = bench.folder / "out.safetensors"
        again = Command((*INITGEN, "generate", source, "--output", out), out)
        commands[what, "initgen generate"] = again
        commands[what, "initgen verify"] = Command((*INITGEN, "verify", file))
        commands[what, "initgen verify --quick"] = Command((*INITGEN, "verify", file, "--quick"))
    in_turn(commands, 1, bench.folder)
    runs = in_turn(commands, 1 if bench.quick else 3, bench.folder)
    lines = []
    for (what, by), found in runs.items():
        made = median(r.seconds for r in runs[what, "initgen generate"])
        gain = made / median(r.seconds for r in found)
        target = Target(">=", 0.8) if by == "initgen verify" else None
        lines.append(seconds(what, by, found, None if by.endswith("generate") else gain, target))
    return lines


def formats(bench: Bench) -> list[Line]:
    """Write 1 GiB: to either format, without digests, and of constants."""
    count = 2 if bench.quick else 16
    size = f"{count * 64:,} MiB"
    source = bench.squares("normal(stddev=0.02)", count)
    safetensors, hdf5 = bench.folder / "out.safetensors", bench.folder / "out.h5"
    without = (HERE / "undigested.py", "generate", source, "--output", safetensors)
    commands = {
        f"{size}, normal": Command((*INITGEN, "generate", source, "-o", safetensors), safetensors),
        f"{size}, normal, HDF5": Command((*INITGEN, "generate", source, "-o", hdf5), hdf5),
        f"{size}, normal, without digests": Command(without, safetensors),
    }
    for what in ("zeros", "ones"):
        source = bench.squares(what, count)
        made = Command((*INITGEN, "generate", source, "-o", safetensors), safetensors)
        commands[f"{size}, {what}"] = made
    in_turn(commands, 1, bench.folder)
    runs = in_turn(commands, 1 if bench.quick else 7, bench.folder)
    first = median(r.seconds for r in runs[f"{size}, normal"])
    targets = {
        f"{size}, normal, HDF5": Target("<=", 1.05),
        f"{size}, normal, without digests": Target(">=", 0.8),
    }
    return [
        seconds(what, "initgen", found, median(r.seconds for r in found) / first, targets.get(what))
        for what, found in runs.items()
    ]


def orthogonal(bench: Bench) -> list[Line]:
    """Make orthogonal matrices, beside the QR decomposition alone; and a tall one to a file."""
    side, repeats = ("1024", "2") if bench.quick else ("4096", "5")
    scripts = {
        "`initlib` Orthogonal, float32": (HERE / "orthogonal.py", side, side, repeats),
        "torch `linalg.qr` alone, float32": (PEERS / "torch_qr.py", side, side, "float32", repeats),
        "torch `linalg.qr` alone, float64": (PEERS / "torch_qr.py", side, side, "float64", repeats),
    }
    env = {name: value for name, value in os.environ.items() if name not in UNSET}
    samples = {}
    for by, script in scripts.items():
        done = subprocess.run(
            [sys.executable, *script], check=True, stdout=subprocess.PIPE, env=env
        )
        samples[by] = json.loads(done.stdout)
    ours = median(samples["`initlib` Orthogonal, float32"])
    lines = []
    for by, found in samples.items():
        gain = None if by.startswith("`initlib`") else median(found) / ours
        target = Target(">=", 1 / 1.2) if by.endswith("alone, float32") else None
        lines.append(Line(f"{side} x {side}", by, "s", found, gain, target))
    rows = 1_000_000 if bench.quick else 10_000_000
    layer = {"name": "q", "shape": [rows, 64], "initializer": "orthogonal"}
    out = bench.folder / "out.safetensors"
    command = Command((*INITGEN, "generate", bench.manifest("tall", [layer]), "-o", out), out)
    tall = in_turn({"tall": command}, 1 if bench.quick else 3, bench.folder)["tall"]
    return [*lines, seconds(f"{rows:,} x 64 to a file", "initgen", tall)]


def slices(bench: Bench) -> list[Line]:
    """Make parts of tensors, by `initlib.open`, in one thread; and fill a torch module."""
    command = [sys.executable, str(HERE / "slices.py"), "3" if bench.quick else "21"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    found = {what: (samples, count) for what, samples, count in json.loads(done.stdout)}
    values = found["kernel"][1]
    lines = []
    for what, (samples, count) in found.items():
        by = "kernel alone" if what.startswith("kernel") else "`initlib.open`"
        if count < values // 8 and not what.startswith("columns"):
            bound = {"one": 5, "a row of 10^8": 1}
            limit = next((b for name, b in bound.items() if what.startswith(name)), None)
            target = None if limit is None else Target("<=", limit)
            lines.append(Line(what, by, "ms", [1e3 * s for s in samples], target=target))
            continue
        # New memory costs the kernel as much.
        new = ", into new memory"
        rate = values / median(found["kernel" + new * what.endswith(new)][0])
        gain = None if what.startswith("kernel") else count / median(samples) / rate
        target = Target(">=", 0.9) if what.startswith("whole") else None
        rates = [count / s / 1e6 for s in samples]
        lines.append(Line(what, by, "million/s", rates, gain, target))
    script = HERE / "materialize.py"
    commands = {by: Command((script, by)) for by in ("torch alone", "materialize")}
    in_turn(commands, 1, bench.folder)
    runs = in_turn(commands, 3 if bench.quick else 9, bench.folder)
    return [*lines, *(seconds("a process that has a module", by, r) for by, r in runs.items())]


def workers(bench: Bench) -> list[Line]:
    """Write 8 GiB in shards: threads of one process, beside processes that an engine runs."""
    gib = 2 if bench.quick else 8
    command = [sys.executable, HERE / "workers.py", bench.folder, "3" if bench.quick else "9", gib]
    done = subprocess.run([str(each) for each in command], check=True, stdout=subprocess.PIPE)
    found = json.loads(done.stdout)
    threads = median(found["two threads"])
    lines = []
    for who, samples in found.items():
        # Here it is initgen beside itself.
        gain = None if who == "two threads" else threads / median(samples)
        target = None if gain is None else Target(">=", 0.9)
        lines.append(Line(f"{gib} GiB in shards", who, "s", samples, gain, target))
    return lines


def seconds(
    what: str,
    by: str,
    runs: list[Run],
    gain: float | None = None,
    target: Target | None = None,
    x: float | None = None,
) -> Line:
    """Return the line of a process's runs."""
    samples = [r.seconds for r in runs]
    return Line(what, by, "s", samples, gain, target, max(r.peak for r in runs), x)


ROWS: Mapping[str, Any] = {
    "kernels": kernels,
    "start": start,
    "files": files,
    "disk": disk,
    "memory": memory,
    "tensors": tensors,
    "describe": describe,
    "verify": verify,
    "formats": formats,
    "orthogonal": orthogonal,
    "slices": slices,
    "workers": workers,
}
