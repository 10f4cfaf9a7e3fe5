"""What examples/ holds is true: manifests and commands work, and make what is known of them."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file
from typer.testing import CliRunner

import initlib
from initgen._app import app

EXAMPLES = Path(__file__).parents[2] / "examples"
# Tensors and parameters, from what the frameworks say of the same models.
COUNTS = {
    "mlp.yaml": (4, 203_530),
    "keras_cnn.yaml": (6, 34_826),
    "gpt2.yaml": (148, 124_439_808),
    "llama-7b.yaml": (291, 6_738_415_616),
    # By hand: of 61 layers, each with 384 experts of three matrices, and the rest.
    "trillion.yaml": (61 * (6 + 384 * 3) + 3, 1_041_726_665_728),
    "lora.yaml": (128, 4_194_304),
    "custom/custom.yaml": (3, 51_200),
}
SMALL = [name for name, (_, parameters) in COUNTS.items() if parameters < 1_000_000]


def plan(name, **options):
    return initlib.generate(EXAMPLES / name, dry_run=True, allow_code=True, **options)


def test_every_manifest_is_counted():
    found = {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*.yaml")}
    assert found == COUNTS.keys()


@pytest.mark.parametrize("name", COUNTS)
def test_counts(name):
    done = plan(name)
    assert (len(done.tensors), done.parameters) == COUNTS[name]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("suffix", [".safetensors", ".h5"])
def test_small_ones_generate(tmp_path, name, suffix):
    path = tmp_path / f"model{suffix}"
    done = initlib.generate(EXAMPLES / name, path, allow_code=True)
    assert path.stat().st_size > done.nbytes == 4 * COUNTS[name][1]


def test_gpt2_initialises_as_its_paper_says(tmp_path):
    # One block of the twelve that its arithmetic is about.
    path = tmp_path / "block.safetensors"
    initlib.generate(EXAMPLES / "gpt2.yaml", path, only=["transformer.h.5.*"])
    tensors = load_file(path)
    assert len(tensors) == 12
    for name, values in tensors.items():
        if name.endswith("bias"):
            assert not values.any()
        elif ".ln_" in name:
            assert (values == 1).all()
        else:
            stddev = 0.02 / np.sqrt(24) if "c_proj" in name else 0.02
            # The standard error of n normal values' spread is stddev / sqrt(2n).
            error = values.astype(np.float64).std() / stddev - 1
            assert abs(error) < 5 / np.sqrt(2 * values.size), name


def test_changed_variables_change_a_model():
    manifest = yaml.safe_load((EXAMPLES / "gpt2.yaml").read_text())
    same = initlib.generate(manifest, "gpt2.safetensors", dry_run=True)
    assert same.manifest_sha256 == plan("gpt2.yaml").manifest_sha256
    # The comment names the sizes; transformers counts so many parameters for GPT2Config of each.
    for n_embd, n_layer, parameters in (
        (1024, 24, 354_823_168),
        (1280, 36, 774_030_080),
        (1600, 48, 1_557_611_200),
    ):
        manifest["vars"].update(n_embd=n_embd, n_layer=n_layer)
        changed = initlib.generate(manifest, "gpt2.safetensors", dry_run=True)
        assert changed.parameters == parameters


def test_llama_is_bfloat16():
    assert {tensor.dtype for tensor in plan("llama-7b.yaml").tensors} == {"bfloat16"}
    assert plan("llama-7b.yaml").nbytes == 2 * COUNTS["llama-7b.yaml"][1]


def test_custom_code_runs_only_where_it_may(tmp_path):
    with pytest.raises(initlib.RequestError, match=r"custom\.yaml:\d+: .*sinusoidal.*--allow-code"):
        initlib.generate(EXAMPLES / "custom/custom.yaml", tmp_path / "custom.safetensors")


def test_custom_values(tmp_path):
    path = tmp_path / "custom.safetensors"
    initlib.generate(EXAMPLES / "custom/custom.yaml", path, allow_code=True)
    tensors = load_file(path)

    positions, place = tensors["encoder/positions"], 3
    assert positions[place, :2] == pytest.approx([np.sin(place), np.cos(place)], rel=1e-6)
    assert positions[place, 62:] == pytest.approx(
        [np.sin(place / 10_000 ** (62 / 64)), np.cos(place / 10_000 ** (62 / 64))], rel=1e-6
    )

    kernel = tensors["encoder/kernel"].astype(np.float64)
    count = np.count_nonzero(kernel)
    # A binomial count of n draws at p has the standard deviation sqrt(n p (1 - p)).
    assert abs(count - 0.1 * kernel.size) < 5 * np.sqrt(kernel.size * 0.1 * 0.9)
    stddev = np.sqrt((kernel**2).sum() / count)
    assert abs(stddev * np.sqrt(6) - 1) < 5 / np.sqrt(2 * count)

    assert tensors["mixer/A_log"] == pytest.approx(np.tile(np.log(np.arange(1, 17)), (128, 1)))


@pytest.mark.parametrize("name", ["Sparse", "LogRange"])
def test_custom_classes_follow_from_their_config(name):
    spec = importlib.util.spec_from_file_location("inits", EXAMPLES / "custom/inits.py")
    inits = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(inits)
    config = {"density": 0.5, "stddev": 2.0} if name == "Sparse" else {}
    original = getattr(inits, name)(**config)
    with initlib.initializers.draws_for(1, "x"):
        expected = original((5, 7), dtype="float64")
    with initlib.initializers.draws_for(1, "x"):
        received = original.clone()((5, 7), dtype="float64")
    assert expected.dtype == np.float64
    assert expected.any()
    assert np.array_equal(expected, received)


def test_python_api_runs(tmp_path):
    script = EXAMPLES / "python_api.py"
    run = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert "4 tensors, 266,752 parameters" in run.stdout
    clipped, copy = re.search(r"clipped +(\[.*\]), and its copy (\[.*\])", run.stdout).groups()
    assert clipped == copy


# Commands and file names, as comments and the README have them.


def commands():
    """Return each `initgen` command with the folder it is to be run in."""
    found = []
    for path in sorted([*EXAMPLES.rglob("*.yaml"), EXAMPLES / "README.md"]):
        lines = re.findall(r"^(?:#|) {4,5}(initgen .*)$", path.read_text(), re.MULTILINE)
        assert lines, f"{path} has no command"
        found += [(path.parent, line) for line in lines]
    return found


@pytest.mark.parametrize(("folder", "command"), commands())
def test_commands(monkeypatch, folder, command):
    monkeypatch.chdir(folder)
    _, *arguments = shlex.split(command)
    result = CliRunner().invoke(app, [*arguments, "--dry-run"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "would hold" in result.output


def test_the_readme_names_every_file():
    linked = set(re.findall(r"\]\(([^)]+)\)", (EXAMPLES / "README.md").read_text()))
    files = (path for path in EXAMPLES.rglob("*") if path.suffix in {".py", ".sh", ".yaml"})
    assert linked == {path.relative_to(EXAMPLES).as_posix() for path in files}
