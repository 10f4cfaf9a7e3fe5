"""`initgen diff` as its user runs it."""

import json

import h5py
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

import initlib


@pytest.fixture
def files(tmp_path):
    a = {
        "changed": np.ones((2, 500), np.float32),
        "equal": np.ones(7),
        "gone": np.ones(3, np.int8),
        "nan": np.ones(4, np.float16),
        "shape": np.ones((2, 3)),
        "type": np.full(5, 0.1, np.float32),
    }
    b = {**a, "new": np.ones((), np.uint8), "shape": a["shape"].T}
    del b["gone"]
    b["changed"] = a["changed"].copy()
    b["changed"][1, 2] = 1.5
    b["nan"] = np.array([1, 1, 1, np.nan], np.float16)
    b["type"] = a["type"].astype(ml_dtypes.bfloat16)
    save_file(a, tmp_path / "a.safetensors", {"format": "pt"})
    save_file(b, tmp_path / "b.safetensors", {"format": "np", "note": "x" * 50})
    return tmp_path


def test_different(initgen, files):
    run = initgen("diff", "a.safetensors", "b.safetensors")
    assert (run.returncode, run.stderr) == (1, "")
    *lines, last = run.stdout.splitlines()
    assert lines == [
        "changed  changed   1 of 1,000 (0.1%), max 0.5, rms 0.0158, relative 0.0158, first [1, 2]",
        "gone     removed   int8 [3]",
        "nan      changed   1 of 4 (25%), 1 by no finite number, first [3]",
        "new      added     uint8 []",
        "shape    reshaped  float64 [2, 3] -> float64 [3, 2], values are equal",
        "type     recast    float32 [5] -> bfloat16 [5], B is A rounded, 5 of 5 (100%), "
        "max 9.77e-05, rms 9.77e-05, relative 0.000977, first [0]",
        "format   metadata  'pt' -> 'np'",
        f"note     metadata  (none) -> '{'x' * 27}...'",
    ]
    assert last.startswith(
        "6 of 7 tensors differ: 1 added, 2 changed, 1 recast, 1 removed, 1 reshaped ("
    )


def test_the_same(initgen, mlp, tmp_path):
    initlib.generate(mlp, tmp_path / "a.safetensors")
    initlib.generate(mlp, tmp_path / "b.h5")
    run = initgen("diff", "a.safetensors", "b.h5", "--threads", 1)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("2 tensors, the same to the last bit (785.0KiB in ")
    assert run.stdout.count("\n") == 1


def test_only_json_and_quiet(initgen, files):
    run = initgen(
        "diff", "a.safetensors", "b.safetensors", "--only", "eq*", "--only", "n*", "--json"
    )
    assert (run.returncode, run.stderr) == (1, "")
    found = json.loads(run.stdout)
    assert [row["name"] for row in found["tensors"]] == ["nan", "new"]
    assert (found["same"], found["equal"], found["tensors"][0]["not_finite"]) == (False, 1, 1)
    run = initgen("diff", "a.safetensors", "b.safetensors", "--quiet")
    assert (run.returncode, run.stdout, run.stderr) == (1, "", "")


def test_something_was_not_compared(initgen, tmp_path):
    for name in ("a.h5", "b.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            file["w"] = np.ones(3)
            file["x"] = f"text of {name}"
    run = initgen("diff", "a.h5", "b.h5")
    assert (run.returncode, run.stderr) == (3, "initgen: can't compare 'x' (strings)\n")
    row, last = run.stdout.splitlines()
    assert row == "x  unread  strings, not compared"
    assert last.startswith("1 tensor, the same to the last bit; 1 not compared (24B in ")
    run = initgen("diff", "a.h5", "b.h5", "--json")
    assert (run.returncode, json.loads(run.stdout)["same"]) == (3, False)
    with h5py.File(tmp_path / "b.h5", "r+") as file:
        file["w"][1] = 2
    run = initgen("diff", "a.h5", "b.h5")
    assert (run.returncode, run.stderr) == (1, "")
    last = run.stdout.splitlines()[-1]
    assert last.startswith("1 of 1 tensor differ: 1 changed; 1 not compared (")


def test_names_cannot_command_a_terminal(initgen, tmp_path):
    evil = "evil\x1b[2J\nfake: all fine"
    save_file({evil: np.ones(3), "w": np.ones(2)}, tmp_path / "a.safetensors", {evil: evil})
    save_file({evil: np.zeros(3), "w": np.zeros(2)}, tmp_path / "b.safetensors")
    run = initgen("diff", "a.safetensors", "b.safetensors")
    assert (run.returncode, run.stderr) == (1, "")
    assert "\x1b" not in run.stdout
    lines = run.stdout.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("evil\\x1b[2J\\nfake: all fine  changed   3 of 3")
    assert lines[1].startswith("w                            changed   2 of 2")
    assert lines[2].startswith("evil\\x1b[2J\\nfake: all fine  metadata  ")
    run = initgen("diff", "a.safetensors", "no\x1b[2Jne")
    assert run.stderr == "initgen: no\\x1b[2Jne: there is no such file\n"


def test_hint(initgen, tmp_path):
    save_file({"a/w": np.ones(3)}, tmp_path / "a.safetensors")
    save_file({"a.w": np.ones(3)}, tmp_path / "b.safetensors")
    run = initgen("diff", "a.safetensors", "b.safetensors")
    assert "names differ in their separators: 'a/w' in A, 'a.w' in B\n" in run.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["a.safetensors", "c.safetensors"], 2, "c.safetensors: there is no such file"),
        (["a.safetensors", "b.safetensors", "--only", "x*"], 2, "no tensor's name matches 'x*'"),
        (["a.safetensors", "text"], 3, "text: "),
    ],
)
def test_what_cannot_be(initgen, files, arguments, code, problem):
    (files / "text").write_text("nothing of ours")
    run = initgen("diff", *arguments)
    assert (run.returncode, run.stdout) == (code, "")
    assert run.stderr.startswith(f"initgen: {problem}")
    assert run.stderr.count("\n") == 1
