"""`initgen verify` as its user runs it."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

import initlib


@pytest.fixture
def made(mlp, tmp_path):
    initlib.generate(mlp, tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "every bit is as its provenance says (2 made again) in "),
        (["--quick"], "every bit is as its provenance says (2 by digest) in "),
        (
            ["--quick", "--manifest", "mlp.yaml"],
            "every bit is as its provenance says (2 by digest), and was made from the manifest in ",
        ),
        (["--manifest", "mlp.yaml"], "every bit is as the manifest says (2 made again) in "),
        (["--threads", "1", "--memory", "2MiB"], "every bit is as its provenance says (2 made"),
    ],
)
def test_all_right(initgen, made, options, told):
    run = initgen("verify", "m.safetensors", *options)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith(f"m.safetensors: 2 tensors, 785.0KiB: {told}")
    assert run.stdout.count("\n") == 1


def test_a_value_that_differs(initgen, made):
    flip(made, -1024 - 4 * 256 * 784)
    run = initgen("verify", "m.safetensors")
    assert (run.returncode, run.stderr) == (1, "")
    lines = run.stdout.splitlines()
    assert lines[0].startswith(
        "dense/kernel: 1 of 200,704 elements differ, first [0, 0]: expected "
    )
    assert lines[1].startswith(
        "m.safetensors: 1 of 2 tensors aren't as its provenance says (1 made again) in "
    )
    assert len(lines) == 2
    run = initgen("verify", "m.safetensors", "--quick")
    assert run.returncode == 1
    assert run.stdout.startswith("dense/kernel: its digest isn't the recorded one")


def test_a_header_that_differs(initgen, made):
    text = b'"version\\":\\"'
    flip(made, made.read_bytes().index(text) + len(text))
    run = initgen("verify", "m.safetensors")
    assert (run.returncode, run.stderr) == (1, "")
    first, last = run.stdout.splitlines()
    assert first == (
        "m.safetensors: its metadata isn't as it was written: the checksum doesn't fit"
    )
    assert "the values are as its provenance says (2 made again), but the file isn't in" in last


def test_quick_against_another_manifest(initgen, made):
    text = (made.parent / "mlp.yaml").read_text()
    (made.parent / "other.yaml").write_text(text.replace("seed: 42", "seed: 7"))
    run = initgen("verify", "m.safetensors", "--quick", "--manifest", "other.yaml")
    assert (run.returncode, run.stderr) == (1, "")
    first, last = run.stdout.splitlines()
    assert first == "m.safetensors: it was made from another manifest, with seed 42, not 7"
    assert last.startswith(
        "m.safetensors: 2 tensors, 785.0KiB: the values are as its provenance says (2 by digest), "
        "but the manifest isn't what made them in "
    )


def test_names_cannot_command_a_terminal(initgen, made):
    save_file({"evil\x1b[2J\nfake: all fine": np.ones(3)}, made)
    run = initgen("verify", "m.safetensors", "--manifest", "mlp.yaml")
    assert run.returncode == 1
    assert "\x1b" not in run.stdout
    assert "\nevil\\x1b[2J\\nfake: all fine: is unexpected (float64 [3])\n" in run.stdout


def test_json_and_quiet(initgen, made):
    flip(made, -1)
    run = initgen("verify", "m.safetensors", "--json")
    assert (run.returncode, run.stderr) == (1, "")
    found = json.loads(run.stdout)
    assert (found["same"], found["different"], found["values"]) == (False, 1, 1)
    (bias,) = [each for each in found["tensors"] if not each["same"]]
    assert (bias["name"], bias["first_index"], bias["expected"]) == ("dense/bias", [255], "0.0")
    run = initgen("verify", "m.safetensors", "--quiet")
    assert (run.returncode, run.stdout, run.stderr) == (1, "", "")


def test_custom_code_prints_to_standard_error(initgen, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\ndef f(shape, dtype=None):\n"
        "    print('hello')\n    return np.ones(shape, dtype)\n"
    )
    layer = {"name": "c", "shape": [4], "initializer": "mine.py:f"}
    (tmp_path / "m.json").write_text(json.dumps({"layers": [layer]}))
    initgen("generate", "m.json", "-o", "m.h5", "--allow-code")
    run = initgen("verify", "m.h5")
    assert (run.returncode, run.stderr) == (0, "")
    assert "(1 by digest)" in run.stdout
    run = initgen("verify", "m.h5", "--allow-code", "--json")
    assert (run.returncode, run.stderr) == (0, "hello\n")
    assert json.loads(run.stdout)["values"] == 1
    (tmp_path / "mine.py").write_text(
        "import numpy as np\ndef f(shape, dtype=None):\n    return np.zeros(shape, dtype)\n"
    )
    run = initgen("verify", "m.h5", "--allow-code")
    assert (run.returncode, run.stderr) == (1, "")
    assert run.stdout.startswith("m.h5: mine.py isn't the code that made the file")


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["none.safetensors"], 2, "none.safetensors: there is no such file"),
        (["other.safetensors"], 2, "other.safetensors doesn't say how it was made"),
        (["m.safetensors", "--manifest", "none.yaml"], 2, "there is no file 'none.yaml'"),
        (["m.safetensors", "--threads", "0"], 2, "expected 1 thread or more"),
        (["cut.safetensors"], 3, "cut.safetensors: "),
        (["mlp.yaml"], 3, "mlp.yaml: "),
    ],
)
def test_what_cannot_be(initgen, made, tmp_path, arguments, code, problem):
    save_file({"w": np.ones(3)}, tmp_path / "other.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(made.read_bytes()[:-1])
    run = initgen("verify", *arguments)
    assert (run.returncode, run.stdout) == (code, "")
    assert run.stderr.startswith(f"initgen: {problem}")
    assert run.stderr.count("\n") == 1
