"""`initgen manifest` as a user runs it."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file


@pytest.fixture
def model(tmp_path):
    arrays = {f"h.{i}.fc.weight": np.zeros((4, 3), np.float32) for i in range(5)}
    save_file(arrays, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_what_it_writes_can_be_generated(initgen, model, tmp_path):
    run = initgen("manifest", "model.safetensors", "-o", "m.yaml")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert initgen("generate", "m.yaml", "-o", "new.safetensors").returncode == 0
    again = initgen("manifest", "new.safetensors")
    assert "- {name: 'h.{i}.fc.weight', shape: [4, 3]}" in again.stdout
    assert "was made from" in again.stdout
    same = initgen("diff", "model.safetensors", "new.safetensors", "--json")
    assert same.returncode == 1


def test_json_is_a_manifest_too(initgen, model):
    run = initgen("manifest", "model.safetensors", "--json", "--rules", "llama")
    assert json.loads(run.stdout)["vars"] == {"initializer_range": 0.02}
    assert initgen("generate", "-", "--dry-run", stdin=run.stdout).returncode == 0


def test_nothing_is_replaced_unasked(initgen, model, tmp_path):
    (tmp_path / "m.yaml").write_text("precious")
    run = initgen("manifest", "model.safetensors", "-o", "m.yaml")
    assert run.returncode == 2
    assert run.stderr == "initgen: m.yaml exists; --force (in Python force=True) replaces it\n"
    assert (tmp_path / "m.yaml").read_text() == "precious"
    assert initgen("manifest", "model.safetensors", "-o", "m.yaml", "--force").returncode == 0


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (".", ".: expected a file's name, received a folder's"),
        ("model.safetensors", "model.safetensors: the output would replace model.safetensors"),
        ("/dev/null", "/dev/null: expected a file's name, but it is a folder, a device or a loop"),
        ("no/m.yaml", "no/m.yaml: there is no folder no"),
    ],
)
def test_what_cannot_be_written(initgen, model, output, message):
    run = initgen("manifest", "model.safetensors", "-o", output, "--force")
    assert (run.returncode, run.stderr) == (2, f"initgen: {message}\n")


def test_a_partial_manifest_says_so(initgen, tmp_path):
    save_file({"ids": np.arange(3)}, tmp_path / "a.safetensors")
    run = initgen("manifest", "a.safetensors")
    assert run.returncode == 3
    assert "# PARTIAL: 1 of its tensors" in run.stdout
    assert run.stderr == (
        "initgen: a.safetensors: not in the manifest, or without an initializer: 'ids' "
        "(random values need a floating-point dtype, received int64)\n"
    )


@pytest.mark.parametrize("source", ["nothing.safetensors", "mlp.yaml"])
def test_what_is_no_checkpoint(initgen, mlp, source):
    run = initgen("manifest", source)
    assert run.returncode in (2, 3)
    assert run.stderr.count("\n") == 1
    assert source in run.stderr


@pytest.mark.parametrize(("source", "extra"), [("hf:gpt2", "hf"), ("torch:nets.py:Net", "torch")])
def test_frameworks_come_with_extras(initgen, source, extra, tmp_path):
    """As it is where torch isn't installed."""
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('no', name='torch')")
    (tmp_path / "nets.py").write_text("Net = dict")
    run = initgen("manifest", source, env={"PYTHONPATH": str(tmp_path)})
    message = f"this needs torch, which isn't installed: pip install 'initgen[{extra}]'"
    assert (run.returncode, run.stderr) == (2, f"initgen: {message}\n")
