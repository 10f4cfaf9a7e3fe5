"""The shape of the code: rooms use only what is on floors below, the command only the door."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import initlib

ROOT = Path(__file__).parents[2]
FLOORS = [
    {
        "_description",
        "_errors",
        "_extras",
        "_files",
        "_garbage",
        "_globs",
        "_interrupts",
        "_memory",
        "_native",
        "_remote",
        "_version",
    },
    {
        *("_arguments", "_digest", "_dtypes", "_limits", "_moments", "_parallel", "_seeds"),
        *("_stream", "random"),
    },
    {"_formats"},
    {"_checkpoint"},
    {"_manifest", "initializers"},
    {
        *("_compare", "_custom", "_expected", "_make", "_plan", "_provenance"),
        *("_shards", "_workers"),
    },
    {"_describe", "_diff", "_generate", "_open", "_output", "_sources", "_verify", "_write"},
    {"_schemas", "jax", "torch"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# Rooms of one floor that may use another of it.
BESIDE = {
    ("_arguments", "_dtypes"),
    ("_moments", "_dtypes"),
    ("_extras", "_errors"),
    ("_native", "_version"),
    ("_remote", "_errors"),
    ("_remote", "_extras"),
    ("_stream", "_dtypes"),
    ("_seeds", "_stream"),
    ("random", "_arguments"),
    ("random", "_dtypes"),
    ("random", "_seeds"),
    ("random", "_stream"),
    ("_compare", "_make"),
    ("_compare", "_plan"),
    ("_make", "_plan"),
    ("_plan", "_custom"),
    ("_provenance", "_custom"),
    ("_provenance", "_plan"),
    ("_shards", "_plan"),
    ("_shards", "_provenance"),
    ("_shards", "_workers"),
    ("_generate", "_output"),
    ("_generate", "_verify"),
    ("_generate", "_write"),
}
LIBRARY = sorted((ROOT / "initlib").rglob("*.py"))
COMMAND = sorted((ROOT / "cli").rglob("*.py"))


def imported(path):
    """Every module that a file imports, by its full name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(name):
    return name.split(".")[1]


def test_every_room_has_a_floor():
    rooms = {p.stem for p in (ROOT / "initlib").iterdir() if p.suffix == ".py" or p.is_dir()}
    assert rooms - {"__init__", "__pycache__", "py"} == set(FLOOR)


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_use_what_is_below(path):
    own = path.relative_to(ROOT / "initlib").parts[0].removesuffix(".py")
    if own == "__init__":
        return
    for name in imported(path):
        if not name.startswith("initlib."):
            assert not name.startswith("initgen"), name
            continue
        other = room_of(name)
        allowed = other == own or (own, other) in BESIDE or FLOOR[other] < FLOOR[own]
        assert allowed, f"{own} (floor {FLOOR[own]}) uses {name} (floor {FLOOR[other]})"


@pytest.mark.parametrize("path", COMMAND, ids=lambda path: path.name)
def test_the_command_uses_the_door(path):
    for name in imported(path):
        assert not name.startswith("initlib._") or name == "initlib.__version__", name
        if name.split(".")[0] == "rich":
            assert path.name == "_console.py"


def test_the_door_opens_to_everything_it_names():
    assert sorted(initlib.__all__) == sorted([*initlib._HOME, "__version__"])
    assert dir(initlib) == sorted(initlib.__all__)
    for name in initlib.__all__:
        assert getattr(initlib, name) is not None
    with pytest.raises(AttributeError, match="module 'initlib' has no attribute 'generat'"):
        importlib.import_module("initlib").generat  # noqa: B018


def test_importing_the_door_is_light():
    program = "import sys, initlib; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert {"numpy", "numba", "pydantic", "h5py"}.isdisjoint(run.stdout.split())


@pytest.mark.parametrize("path", LIBRARY + COMMAND, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_and_modules_are_short(path):
    text = path.read_text()
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            statements = node.body[1:] if ast.get_docstring(node) else node.body
            if statements:
                lines = node.end_lineno - statements[0].lineno + 1
                assert lines <= 40, f"{node.name} has {lines} lines"
