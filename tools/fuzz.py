"""Give damaged and hostile data to everything that reads what strangers wrote.

Workers change good inputs at random and keep, as a start for others, each input that is answered in
a way that none was before. A worker that takes 2 s of processor time (or 20 s in all) for an input,
500 MiB of memory, or that lets anything but initlib's own errors out, has found a fault: its input
is written to tests/corpus/TARGET/, where the tests try it for ever. Exits with 1 if any was found.
"""

from __future__ import annotations

import argparse
import hashlib
import mmap
import multiprocessing
import os
import random
import re
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import fuzz_inputs  # noqa: E402
import fuzz_targets  # noqa: E402

SECONDS, WALL, MEMORY = 2, 20, 500 << 20
# The input that is tried at the moment lies where it outlives the process.
ROOM = 4 << 20
# Of a hundred inputs, how many go where; checkpoints take much longer than texts.
SHARES = {
    "manifest": 32, "expression": 12, "name": 6, "call": 14, "rules": 6, "provenance": 6,
    "header": 10, "safetensors": 3, "hdf5": 4, "keras": 3, "index": 3, "verify": 1,
}  # fmt: skip
# What differs between two messages that say the same.
_DETAILS = re.compile(r"'[^']*'|\"[^\"]*\"|\d+|\[[^\]]*\]|\([^)]*\)")


def main() -> int:
    """Run the inputs, and tell what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--target", choices=sorted(SHARES))
    parser.add_argument("--corpus", type=Path, default=ROOT / "tests" / "corpus")
    options = parser.parse_args()
    os.environ.update(fuzz_targets.LIMITS)
    with fuzz_targets.in_memory() as folder:
        os.environ[fuzz_targets.FOLDER] = folder
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    begin = time.monotonic()
    workers = [_Worker(options, number) for number in range(options.workers)]
    while sum(worker.watch() for worker in workers):
        time.sleep(0.05)
    counts: Counter[str] = sum((worker.counts() for worker in workers), Counter())
    found = sum(worker.found for worker in workers)
    print(*(f"{name} {count:,}" for name, count in counts.items()), sep=", ")
    took = time.monotonic() - begin
    print(f"{counts.total():,} inputs in {took:.0f} s: {found} faults")
    return int(found > 0)


class _Worker:
    """A process that tries inputs, and is started again after each fault."""

    def __init__(self, options: argparse.Namespace, number: int) -> None:
        self.options, self.number = options, number
        self.memory = mmap.mmap(-1, ROOM)
        self.progress = multiprocessing.RawArray("q", 2 + len(SHARES))
        self.left = options.inputs // options.workers
        self.found = self.lives = 0
        self.seen, self.changed = -1, time.monotonic()
        self.start()

    def start(self) -> None:
        """Start the process."""
        self.lives += 1
        self.changed = time.monotonic()
        self.process = multiprocessing.get_context("fork").Process(target=_work, args=(self,))
        self.process.start()

    def counts(self) -> Counter[str]:
        """Return how many inputs each target was given."""
        return Counter(dict(zip(SHARES, self.progress[2:], strict=True)))

    def watch(self) -> bool:
        """Look after the process; return whether there is more to do."""
        if self.seen != self.progress[0]:
            self.seen, self.changed = self.progress[0], time.monotonic()
        elif self.process.is_alive() and time.monotonic() - self.changed > WALL:
            self.process.kill()
            self.process.join()
        if self.process.is_alive():
            return True
        self.process.join()
        if self.process.exitcode == 0:
            return False
        self.keep()
        if self.progress[0] >= self.left or self.found > 200:
            return False
        self.start()
        return True

    def keep(self) -> None:
        """Write the input of a fault down."""
        name, _, rest = self.memory[:].partition(b"\n")
        size, _, rest = rest.partition(b"\n")
        data, target = rest[: int(size)], name.decode()
        folder = self.options.corpus / target
        folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(data).hexdigest()[:12]
        (folder / digest).write_bytes(data)
        self.found += 1
        code = self.process.exitcode or 0
        why = signal.Signals(-code).name if code < 0 else "traceback"
        print(f"{target}/{digest}: {why}", file=sys.stderr, flush=True)


def _work(worker: _Worker) -> None:
    """Try inputs until there have been enough."""
    options, progress = worker.options, worker.progress
    chance = random.Random(f"{options.seed} {worker.number} {worker.lives}")  # noqa: S311
    pool = {target: list(inputs) for target, inputs in fuzz_targets.seeds().items()}
    for target, inputs in pool.items():
        # The inputs themselves come first, and warm caches up, whose memory is not theirs.
        for data in inputs:
            fuzz_targets.outcome(target, data)
    known: set[tuple[str, str]] = set()
    names = [options.target] if options.target else list(SHARES)
    shares = [SHARES[name] for name in names]
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * mmap.PAGESIZE + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    while progress[0] < worker.left:
        target = chance.choices(names, shares)[0]
        data = fuzz_inputs.changed(chance, pool[target], target)[: ROOM // 2]
        head = f"{target}\n{len(data)}\n".encode()
        worker.memory[: len(head) + len(data)] = head + data
        progress[0] += 1
        progress[2 + list(SHARES).index(target)] += 1
        # The system ends the process, whatever library it is in.
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            said = fuzz_targets.outcome(target, data)
        except BaseException:
            traceback.print_exc(limit=-4)
            sys.exit(1)
        signal.setitimer(signal.ITIMER_PROF, 0)
        sign = target, _DETAILS.sub("", said)[:200]
        if sign not in known and len(data) < 20_000:
            known.add(sign)
            pool[target].append(data)


if __name__ == "__main__":
    sys.exit(main())
