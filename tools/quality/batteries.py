"""Run batteries of tests of random numbers on the streams of streams.py; print a table in Markdown.

    python tools/quality/batteries.py                    # all of PLAN, as docs/quality.md has it
    python tools/quality/batteries.py smallcrush names   # those of these batteries and streams

SmallCrush and Crush are TestU01's (L'Ecuyer & Simard, ACM TOMS 2007), PractRand is Chris
Doty-Humphrey's `RNG_test`, dieharder Robert G. Brown's. A battery of hundreds of tests finds a few
suspicious p-values in perfect numbers. What is suspicious is therefore tried again on another
stream of the same kind: a fault would show there, too. All that the batteries print is kept in
build/quality.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from streams import STREAMS

HERE = Path(__file__).parent
LOGS = Path("build/quality")
TESTU01 = LOGS / "testu01"
NEEDS = (
    "the batteries need gcc, dieharder, TestU01's library and headers, and PractRand's RNG_test on "
    "the PATH (Debian: apt-get install gcc dieharder, and libtestu01-0-dev where it is packaged)"
)
# TestU01's own bounds of what is worth a look.
SUSPICIOUS = 1e-3
# The seed of the second stream, which no sequence of seeds from 0 on gets to.
AGAIN = 1 << 40

FIRST_WORDS = ("names-first-words", "seeds-first-words")  # a hash for every 16 bytes: slow
LONG = ("one", "columns", "names", "names-interleaved")
CRUSH = {"names-interleaved": [], "seeds-interleaved": ["reversed"]}
DIEHARDER = ("names-interleaved", "normal-weights")


@dataclass(frozen=True)
class Finding:
    """A suspicious test.

    Attributes:
        test: its name.
        value: the p-value, or what the battery thinks of it.
        again: how to ask for this test alone.
    """

    test: str
    value: str
    again: tuple[str, ...] = ()


@dataclass(frozen=True)
class Battery:
    """A program that reads bits.

    Attributes:
        command: what is run, given the stream's name and further arguments.
        tests: how many tests its output tells of.
        findings: the suspicious ones in it.
    """

    command: Callable[[str, tuple[str, ...]], list[str]]
    tests: Callable[[str], int]
    findings: Callable[[str], list[Finding]]


def testu01(size: str) -> Battery:
    """Return one of TestU01's batteries."""

    def command(stream: str, tests: tuple[str, ...]) -> list[str]:
        turned = CRUSH.get(stream, []) if size == "crush" else []
        return [str(TESTU01), size, *turned, *tests]

    return Battery(command, lambda text: len(re.findall(r"(?m)^[-\d.e]+\t", text)), _in_report)


def _in_report(text: str) -> list[Finding]:
    """Find the tests that TestU01's summary lists, each by its number."""
    if "outside" not in text:
        return []
    rows = re.findall(r"(?m)^ +(\d+) +(\S.*?)  +(\S.*)$", text.partition("outside")[2])
    return [Finding(name, value.strip(), (number,)) for number, name, value in rows]


def practrand() -> Battery:
    """Return PractRand, by a size for each stream."""

    def command(stream: str, _: tuple[str, ...]) -> list[str]:
        most = "128MB" if stream in FIRST_WORDS else "8GB" if stream in LONG else "2GB"
        unit = "stdin8" if stream == "uniform-weights" else "stdin32"
        return ["RNG_test", unit, "-tlmin", "128MB", "-tlmax", most]

    def findings(text: str) -> list[Finding]:
        rows = re.findall(r"(?m)^  (\S+) +R= *\S+ +(p ?~?= *\S+) +(\S.*?) *$", text)
        return [Finding(name, f"{p}, {word}") for name, p, word in rows]

    def tests(text: str) -> int:
        return sum(map(int, re.findall(r"(\d+) test result", text))) + len(findings(text))

    return Battery(command, tests, findings)


def dieharder() -> Battery:
    """Return dieharder, all tests."""

    def command(_: str, tests: tuple[str, ...]) -> list[str]:
        return ["dieharder", "-g", "200", *(tests or ("-a",))]

    def rows(text: str) -> list[list[str]]:
        table = re.findall(r"(?m)^ *\w+\| *\d+\|.*(?:PASSED|WEAK|FAILED).*$", text)
        return [[cell.strip() for cell in row.split("|")] for row in table]

    def findings(text: str) -> list[Finding]:
        return [
            Finding(f"{name}, {ntup}", f"{p} {word}")
            for name, ntup, _, _, p, word in rows(text)
            if word != "PASSED"
        ]

    return Battery(command, lambda text: len(rows(text)), findings)


BATTERIES = {
    "smallcrush": testu01("small"),
    "crush": testu01("crush"),
    "practrand": practrand(),
    "dieharder": dieharder(),
}
PLAN = [
    *(("crush", stream) for stream in CRUSH),
    *(("dieharder", stream) for stream in DIEHARDER),
    *(("practrand", stream) for stream in STREAMS),
    *(("smallcrush", stream) for stream in STREAMS if stream not in FIRST_WORDS),
]


def run(name: str, stream: str, seed: int = 0, tests: tuple[str, ...] = ()) -> str:
    """Run a battery on a stream; keep and return what both print."""
    begin = time.perf_counter()
    writer = subprocess.Popen(
        [sys.executable, HERE / "streams.py", stream, "--seed", str(seed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    command = BATTERIES[name].command(stream, tests)
    reader = subprocess.run(command, stdin=writer.stdout, capture_output=True, text=True)
    writer.stdout.close()  # type: ignore[union-attr]
    text = f"$ {' '.join(command)}\n{reader.stdout}{reader.stderr}{writer.communicate()[1]}"
    text += f"seconds: {time.perf_counter() - begin:.0f}\n"
    (LOGS / f"{name}-{stream}-{seed}.txt").write_text(text)
    if reader.returncode or not BATTERIES[name].tests(text):
        raise SystemExit(f"{name} of {stream} ended early:\n{text[-500:]}")
    return text


def row(name: str, stream: str) -> str:
    """Run a battery, and again what was suspicious; return a row of the table."""
    text = run(name, stream)
    found = BATTERIES[name].findings(text)
    size, seconds = (int(re.findall(rf"{word}: (\d+)", text)[-1]) for word in ("bytes", "seconds"))
    cells = [name, f"`{stream}`", f"{size / 2**30:,.1f} GiB", str(BATTERIES[name].tests(text))]
    cells.append("; ".join(f"{each.test}: {each.value}" for each in found) or "none")
    second = "-"
    if found:
        tests = tuple(argument for each in found for argument in each.again)
        again = BATTERIES[name].findings(run(name, stream, AGAIN, tests))
        same = [each for each in again if each.test in {first.test for first in found}]
        second = "; ".join(f"{each.test}: {each.value}" for each in same) or "not suspicious"
    return "| " + " | ".join([*cells, second, f"{seconds} s"]) + " |"


def compile_driver() -> None:
    """Compile testu01.c against the library that is installed."""
    libraries = ["-ltestu01", "-lprobdist", "-lmylib", "-lm"]
    command = ["gcc", "-O2", "-o", TESTU01, HERE / "testu01.c", *libraries]
    subprocess.run(command, check=True, capture_output=True)


def prepare(names: set[str]) -> None:
    """Make sure that what the batteries need is there.

    Raises:
        SystemExit: it isn't; one line says what is needed.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    programs = {"practrand": "RNG_test", "dieharder": "dieharder"}
    try:
        missing = [
            each for name, each in programs.items() if name in names and not shutil.which(each)
        ]
        if missing:
            raise FileNotFoundError(missing[0])
        if names & {"smallcrush", "crush"}:
            compile_driver()
    except (OSError, subprocess.CalledProcessError):
        raise SystemExit(NEEDS) from None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="BATTERY|STREAM")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="batteries at once")
    parser.add_argument("--check", action="store_true", help="only see that all is there")
    arguments = parser.parse_intermixed_args()
    batteries = set(arguments.names) & set(BATTERIES) or set(BATTERIES)
    streams = set(arguments.names) & set(STREAMS) or set(STREAMS)
    if unknown := set(arguments.names) - set(BATTERIES) - set(STREAMS):
        parser.error(f"no battery or stream is called {min(unknown)}")
    plan = [each for each in PLAN if each[0] in batteries and each[1] in streams]
    prepare({name for name, _ in plan})
    if arguments.check:
        return
    print("| battery | stream | read | tests | suspicious | on another seed | time |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for line in pool.map(lambda each: row(*each), plan):
            print(line, flush=True)


if __name__ == "__main__":
    main()
