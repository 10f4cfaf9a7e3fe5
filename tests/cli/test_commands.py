"""The command as its user runs it: output, exit codes and streams."""

import contextlib
import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time

import pytest
from safetensors.numpy import load_file

import initlib


def test_generate(initgen, mlp, tmp_path):
    run = initgen("generate", "mlp.yaml")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("mlp.safetensors: 2 tensors, 200,960 parameters, 785.0KiB in ")
    assert load_file(tmp_path / "mlp.safetensors")["dense/kernel"].shape == (784, 256)


def test_generate_json(initgen, mlp):
    run = initgen("generate", "mlp.yaml", "-o", "x.h5", "--json")
    assert (run.returncode, run.stderr) == (0, "")
    done = json.loads(run.stdout)
    assert (done["path"], done["format"], done["parameters"]) == ("x.h5", "hdf5", 200_960)
    assert [tensor["name"] for tensor in done["tensors"]] == ["dense/kernel", "dense/bias"]
    assert not done["dry_run"]


def test_generate_quiet(initgen, mlp, tmp_path):
    run = initgen("generate", "mlp.yaml", "--quiet")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert (tmp_path / "mlp.safetensors").is_file()


def test_dry_run(initgen, mlp, tmp_path):
    run = initgen("generate", "mlp.yaml", "--dry-run")
    assert run.returncode == 0
    assert run.stdout.splitlines() == [
        "bytes    dtype    shape       name          initializer",
        "802,816  float32  [784, 256]  dense/kernel  glorot_uniform",
        "  1,024  float32  [256]       dense/bias    zeros",
        "mlp.safetensors (safetensors) would hold 2 tensors, 200,960 parameters, 785.0KiB",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["mlp.yaml"]


def test_options_reach_the_library(initgen, mlp, tmp_path):
    options = ["--seed", 7, "--dtype", "float16", "--only", "*kernel", "--threads", 1]
    run = initgen("generate", "mlp.yaml", "-o", "a.bin", "--format", "safetensors", *options)
    assert run.returncode == 0
    initlib.generate(
        mlp, tmp_path / "b.safetensors", seed=7, dtype="float16", only=["*kernel"], memory="1GiB"
    )
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_manifest_from_standard_input(initgen, mlp, tmp_path):
    run = initgen("generate", "-", "-o", "a.safetensors", stdin=mlp.read_text())
    assert run.returncode == 0
    initgen("generate", "mlp.yaml")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "mlp.safetensors").read_bytes()
    assert initgen("generate", "-", stdin=mlp.read_text()).stdout.startswith("model.safetensors: ")


def test_an_existing_file_is_kept_unless_forced(initgen, mlp, tmp_path):
    target = tmp_path / "mlp.safetensors"
    target.write_text("precious")
    run = initgen("generate", "mlp.yaml")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == (
        "initgen: mlp.safetensors exists; --force (in Python force=True) replaces it\n"
    )
    assert target.read_text() == "precious"
    assert initgen("generate", "mlp.yaml", "--force").returncode == 0
    assert len(load_file(target)) == 2


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["generate"], "Missing argument 'MANIFEST'"),
        (["generate", "mlp.yaml", "--seeed", "3"], "No such option: --seeed"),
        (["generate", "mlp.yaml", "--threads", "x"], "Invalid value for '--threads'"),
        (["generate", "mlp.yaml", "--threads", "0"], "expected 1 thread or more, received 0"),
        (["generate", "mlp.yml"], "did you mean 'mlp.yaml'?"),
        (["generate", "mlp.yaml", "-o", "no/x.h5"], "no/x.h5: there is no folder no"),
        (["generate", "mlp.yaml", "-o", ".", "--format", "hdf5"], ".: expected a file's name"),
        (["generate", "mlp.yaml", "-o", "x.h5/", "--max-shard-size", "1"], "x.h5/: expected a fol"),
        (["generate", "mlp.yaml", "-o", "x.bin"], "no format has the suffix '.bin'"),
        (["initializers", "he_norml"], "unknown initializer 'he_norml'; did you mean 'he_normal'?"),
        (
            ["initializers", "jax.nomal"],
            "unknown initializer 'jax.nomal'; did you mean 'jax.normal'?",
        ),
        (["genrate", "mlp.yaml"], "No such command 'genrate'"),
    ],
)
def test_wrong_requests(initgen, mlp, tmp_path, arguments, problem):
    run = initgen(*arguments)
    assert (run.returncode, run.stdout) == (2, "")
    assert problem in run.stderr
    assert "Traceback" not in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mlp.yaml"]


def test_version(initgen):
    run = initgen("--version")
    assert (run.returncode, run.stdout) == (0, f"initgen {initlib.__version__}\n")


def test_initializers(initgen):
    lines = initgen("initializers").stdout.splitlines()
    assert lines[0].split() == ["name", "of", "makes", "arguments"]
    assert len(lines) == 1 + len(initlib.initializers.catalogue())
    (line,) = (line for line in lines if line.startswith("truncated_normal "))
    assert line.endswith("  mean=0.0, stddev=0.05, seed=None")
    (line,) = (line for line in lines if line.startswith("jax.normal "))
    assert line.split()[1] == "JAX"
    assert [line.split()[1] for line in lines[1:]] == sorted(
        (line.split()[1] for line in lines[1:]),
        key=["Keras", "torch", "JAX", "models", "compound"].index,
    )
    rows = json.loads(initgen("initializers", "--json").stdout)
    assert rows["jax.variance_scaling"]["required"] == ["scale", "mode", "distribution"]
    assert rows["HeNormal"]["aliases"] == ["he_normal"]


@pytest.mark.parametrize("name", ["GlorotUniform", "glorot_uniform"])
def test_one_initializer(initgen, name):
    run = initgen("initializers", name)
    assert run.stdout.startswith("GlorotUniform(seed=None, input_axes=None, output_axes=None)\n")
    assert "sqrt(6 / (fan_in + fan_out))" in run.stdout
    assert [*json.loads(initgen("initializers", name, "--json").stdout)] == ["GlorotUniform"]


def test_schema(initgen):
    assert json.loads(initgen("schema").stdout) == initlib.schema()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(initgen, shell):
    run = initgen(env={"_INITGEN_COMPLETE": f"source_{shell}"})
    assert run.returncode == 0
    assert "_INITGEN_COMPLETE" in run.stdout


def test_help_is_light(initgen):
    """--help imports none of the heavy libraries: that is what keeps it quick."""
    program = (
        "import sys; from initgen.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, "--help"], capture_output=True, text=True, check=True
    )
    assert "generate" in run.stdout
    heavy = {"numpy", "numba", "scipy", "h5py", "pydantic", "rich", "safetensors", "yaml"}
    assert heavy.isdisjoint(run.stderr.split())


def test_a_bar_is_drawn_on_a_terminal_only(tmp_path):
    layer = {"name": "w", "shape": [8 << 20], "initializer": "ones"}
    (tmp_path / "m.json").write_text(json.dumps({"layers": [layer]}))
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, b"\x18\0\x78\0\0\0\0\0")
    process = subprocess.Popen(
        [sys.executable, "-m", "initgen", "generate", "m.json", "--threads", "1"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(terminal)
    drawn = b""
    # The end of a pseudo-terminal is an error.
    with contextlib.suppress(OSError):
        while data := os.read(master, 1 << 16):
            drawn += data
    os.close(master)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"\x1b" not in printed
    assert b"100%" in drawn
    assert b"/s" in drawn


def test_a_closed_pipe_is_no_error():
    run = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m initgen schema | head -n 1"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (run.stdout, run.stderr) == ("{\n", "")


def test_nohup_keeps_its_promise():
    program = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "import initgen.__main__ as main, initgen._app as commands\n"
        "commands.app = lambda **_: os.kill(os.getpid(), signal.SIGHUP)\n"
        "main.main()"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_big_endian_processors_are_refused(tmp_path):
    program = "import sys; sys.byteorder = 'big'; from initgen.__main__ import main; main()"
    command = [sys.executable, "-c", program, "generate", "m.yaml"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    why = "initlib needs a little-endian processor; this one is big-endian"
    assert (run.returncode, run.stderr) == (3, f"initgen: cannot load a library: {why}\n")


def test_a_full_standard_output(mlp, tmp_path):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        run = subprocess.run(
            [sys.executable, "-m", "initgen", "schema"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert run.returncode == 3
    assert run.stderr == "initgen: cannot print the result: No space left on device\n"


@pytest.mark.parametrize("closing", ["2>&-", ">&-", "<&-", ">&- 2>&- <&-"])
def test_closed_standard_streams(mlp, tmp_path, closing):
    command = f"{sys.executable} -m initgen generate mlp.yaml {closing}"
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path, check=False).returncode == 0
    assert len(load_file(tmp_path / "mlp.safetensors")) == 2
    command = f"{sys.executable} -m initgen generate mlp.yaml {closing}"
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path, check=False).returncode == 2


def test_a_reader_that_takes_nothing_is_no_error(mlp, tmp_path):
    command = f"{sys.executable} -m initgen generate mlp.yaml | true; exit ${{PIPESTATUS[0]}}"
    run = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, check=False)
    assert (run.returncode, run.stderr) == (0, b"")


def test_what_custom_code_prints_is_no_result(initgen, tmp_path):
    (tmp_path / "c.py").write_text(
        "import numpy as np\n"
        "def f(shape, dtype=None):\n"
        "    print('hello')\n"
        "    return np.ones(shape, dtype)\n"
    )
    (tmp_path / "m.json").write_text(
        json.dumps({"layers": [{"name": "w", "shape": [3], "initializer": "c.py:f"}]})
    )
    run = initgen("generate", "m.json", "--allow-code", "--json")
    assert json.loads(run.stdout)["parameters"] == 3
    assert run.stderr == "hello\n"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_leaves_nothing_behind(tmp_path, number, code):
    (tmp_path / "slow.py").write_text(
        "import time, numpy as np\n"
        "def slow(shape, dtype=None):\n"
        "    open('started', 'w').close()\n"
        "    time.sleep(1)\n"
        "    return np.zeros(shape, dtype)\n"
    )
    layers = [{"name": f"t{i}", "shape": [3], "initializer": "slow.py:slow"} for i in range(9)]
    (tmp_path / "m.json").write_text(json.dumps({"layers": layers}))
    (tmp_path / "m.safetensors").write_text("precious")
    process = subprocess.Popen(
        [sys.executable, "-m", "initgen", "generate", "m.json", "--allow-code", "--force"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background would hand down that it ignores the signals.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    while not (tmp_path / "started").exists():
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert errors == f"initgen: stopped by {number.name}; nothing was changed\n"
    assert {path.name for path in tmp_path.iterdir()} <= {
        *("m.json", "m.safetensors", "slow.py", "started", "__pycache__")
    }
    assert (tmp_path / "m.safetensors").read_text() == "precious"
