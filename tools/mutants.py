"""Mutation testing: small changes to the code, of which the tests must notice each.

    python tools/mutants.py [--sample N] [--seed S] [--jobs J] [AREA ...]

An area is some modules and the quick tests that are to notice what changes in them. A change is
that of an operator, a comparison, a number, a condition or a statement; of all that there are, N of
each module are drawn. Each runs in a process forked off one that has the libraries loaded, and
takes the module's place as it is imported; what tests start in processes of their own is unchanged.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]
UNIT = "tests/unit/test_{}.py"
# Modules, and the tests that are to notice.
AREAS: dict[str, tuple[list[str], list[str]]] = {
    "stream": (
        [
            f"initlib/_stream/_{name}.py"
            for name in (
                *("distributions", "engine", "philox", "reference", "streams", "tails"),
                "truncated",
            )
        ],
        [
            *("tests/golden/test_stream_golden.py", "tests/kat"),
            *map(UNIT.format, ("streams", "distributions", "truncated")),
        ],
    ),
    "plan": (
        ["initlib/_plan.py", "initlib/_shards.py", "initlib/_manifest/_expand.py"],
        [
            UNIT.format(name)
            for name in (
                *("plan", "shards", "generate", "manifest_expand", "manifest_canonical"),
                *("manifest_errors", "manifest_read", "manifest_initializers"),
            )
        ],
    ),
    "write": (
        [
            *("initlib/_write/_writer.py", "initlib/_write/_file.py"),
            *("initlib/_formats/_safetensors.py", "initlib/_formats/_hdf5.py"),
            *("initlib/_output/_file.py", "initlib/_output/_folder.py"),
        ],
        [
            "tests/hostile/test_generate.py",
            *map(UNIT.format, ("write", "safetensors", "hdf5", "formats", "generate", "shards")),
        ],
    ),
}
# Seconds after which a change is taken to have made something endless, which is noticed.
PATIENCE = 600

OTHER: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


@dataclass(frozen=True)
class Mutant:
    """A changed module: where it is, and what is in the place of what."""

    path: str
    line: int
    before: str
    after: str
    source: str


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in a node's place."""
    new = copy.copy(node)
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in OTHER:
        new.op = OTHER[type(node.op)]()  # type: ignore[attr-defined]
        yield new
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in OTHER:
        new.ops = [OTHER[type(node.ops[0])](), *node.ops[1:]]  # type: ignore[attr-defined]
        yield new
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        new.body, new.orelse = node.orelse, node.body  # type: ignore[attr-defined]
        yield new
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
        flipped = not node.value if isinstance(node.value, bool) else node.value + 1
        yield ast.Constant(flipped)
    elif isinstance(node, ast.Return) and node.value is not None:
        yield ast.Return(ast.Constant(None))
    elif isinstance(node, ast.Raise | ast.Assign | ast.AugAssign) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Yield)
    ):
        yield ast.Pass()


def mutants(path: str) -> list[Mutant]:
    """Return every change of a module, in the order of its lines."""
    tree, found = ast.parse((ROOT / path).read_text()), []
    for parent in ast.walk(tree):
        # What annotations and messages say is not what the code does.
        for name, value in ast.iter_fields(parent):
            if name in ("annotation", "returns") or isinstance(parent, ast.JoinedStr):
                continue
            for i, node in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(node, ast.AST):
                    found += [_mutant(path, tree, parent, name, i, new) for new in changes(node)]
    return sorted(found, key=lambda each: each.line)


def _mutant(
    path: str, tree: ast.Module, parent: ast.AST, name: str, place: int, new: ast.AST
) -> Mutant:
    value = getattr(parent, name)
    old = value[place] if isinstance(value, list) else value
    changed = [*value[:place], new, *value[place + 1 :]] if isinstance(value, list) else new
    setattr(parent, name, changed)
    source = ast.unparse(ast.fix_missing_locations(tree))
    setattr(parent, name, value)
    texts = (ast.unparse(each).splitlines()[0] for each in (old, new))
    return Mutant(path, old.lineno, *texts, source)


class Replaced(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from other source."""

    def __init__(self, path: str, source: str) -> None:
        self.path, self.source = path, source
        self.name = path.removesuffix(".py").replace("/", ".")

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Tell who loads the module."""
        if fullname != self.name:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin=str(ROOT / self.path))

    def exec_module(self, module: ModuleType) -> None:
        """Run the other source in the module's place."""
        module.__file__ = str(ROOT / self.path)
        exec(compile(self.source, module.__file__, "exec"), module.__dict__)  # noqa: S102


def run(mutant: Mutant | None, area: str, tests: list[str]) -> bool:
    """Tell whether a process of its own finds all tests to pass."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.environ["NUMBA_DISABLE_JIT" if area == "stream" else "INITGEN_MUTANT"] = "1"
            null = os.open(os.devnull, os.O_RDWR)
            for number in range(3):
                os.dup2(null, number)
            if mutant:
                sys.meta_path.insert(0, Replaced(mutant.path, mutant.source))
            import pytest

            options = [
                "-x",
                "-q",
                "-p",
                "no:cacheprovider",
                "-p",
                "no:randomly",
                "-k",
                "not kernel",
            ]
            status = int(pytest.main([*options, *tests]))
        finally:
            os._exit(status)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.05)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("areas", nargs="*", default=[], choices=[*AREAS, []])
    parser.add_argument("--sample", type=int, default=25)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    os.chdir(ROOT)
    # Tests that draw their examples draw the same ones for all, and no deadline is missed.
    os.environ["CI"] = "true"
    for name in ("pytest", "numpy", "scipy.special", "ml_dtypes", "h5py", "pydantic"):
        importlib.import_module(name)
    survived = 0
    for area in options.areas or AREAS:
        modules, tests = AREAS[area]
        if not run(None, area, tests):
            sys.exit(f"{area}: the tests fail without any change")
        for path in modules:
            every = mutants(path)
            drawn = random.Random(options.seed).sample(every, min(options.sample, len(every)))  # noqa: S311
            with ThreadPoolExecutor(options.jobs) as pool:
                alive = list(pool.map(lambda each: run(each, area, tests), drawn))  # noqa: B023
            left = [each for each, lives in zip(drawn, alive, strict=True) if lives]
            survived += len(left)
            killed = len(drawn) - len(left)
            print(f"{path}: {killed} of {len(drawn)} noticed, {len(every)} there are", flush=True)
            for each in left:
                print(f"  {path}:{each.line}: {each.before}  ->  {each.after}", flush=True)
    print(json.dumps({"survived": survived, "sample": options.sample, "seed": options.seed}))


if __name__ == "__main__":
    main()
