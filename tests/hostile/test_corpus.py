"""All that was ever found by the fuzzer, or by thinking of it: tried again, within the promises.

`make fuzz` adds to tests/corpus; a file there is an input of the target that its folder names.
"""

import random
import subprocess
import sys
from pathlib import Path

import fuzz_inputs
import fuzz_targets
import pytest

CORPUS = Path(__file__).parents[1] / "corpus"
FILES = sorted(path for path in CORPUS.glob("*/*"))
ONE = """
import resource, signal, sys
import fuzz_targets
for data in fuzz_targets.seeds()[sys.argv[1]]:
    fuzz_targets.outcome(sys.argv[1], data)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
before = peak()
for path in sys.argv[2:]:
    signal.setitimer(signal.ITIMER_PROF, 4)
    data = open(path, "rb").read()
    print(path, fuzz_targets.outcome(sys.argv[1], data)[:100], flush=True)
    assert peak() - before < 500, (path, peak() - before)
"""


@pytest.mark.parametrize("target", sorted({path.parent.name for path in FILES}))
def test_what_was_found(target):
    """Each in 2 s on a machine of its own, here in twice that, and in 500 MiB."""
    files = [path for path in FILES if path.parent.name == target]
    done = subprocess.run(
        [sys.executable, "-c", ONE, target, *map(str, files)],
        env={"PYTHONPATH": ":".join(sys.path), **fuzz_targets.LIMITS},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout[-500:]
    assert done.stdout.count("\n") == len(files)


def test_every_target_takes_its_seeds():
    seeds = fuzz_targets.seeds()
    assert set(seeds) == set(fuzz_targets.TARGETS)
    for target, inputs in seeds.items():
        assert {fuzz_targets.outcome(target, data) for data in inputs} == {"done"}, target


def test_the_fuzzer_finds_what_is_wrong(tmp_path):
    """A target that fails, never ends or eats memory: its input is kept."""
    program = (
        "import sys; sys.argv[1:] = ['--inputs', '12', '--workers', '1', '--target', 'name',"
        f"'--corpus', {str(tmp_path)!r}]\n"
        "sys.path[:0] = ['tools', 'tests/support']\n"
        "import fuzz, fuzz_targets\n"
        "def name(data):\n"
        "    if b'x' in data: 1 / 0\n"
        "    if b'i' not in data: bytes(1 << 30)\n"
        "fuzz_targets.TARGETS['name'] = lambda data: data in known or name(data)\n"
        "known = fuzz_targets.seeds()['name']\n"
        "sys.exit(fuzz.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=CORPUS.parents[1],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    kept = [path.read_bytes() for path in (tmp_path / "name").iterdir()]
    assert kept
    assert all(b"x" in data or b"i" not in data for data in kept)


def test_inputs_come_from_the_seed():
    pools = [b"layers: [{name: w, shape: [3]}]", b"{i:02d}"]
    draws = [
        [
            fuzz_inputs.changed(random.Random(seed), pools, "manifest")  # noqa: S311
            for seed in range(50)
        ]
        for _ in range(2)
    ]
    assert draws[0] == draws[1]
    assert len(set(draws[0])) > 40
