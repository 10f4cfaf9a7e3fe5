"""Whatever is wrong with a request ends in one clear line, and nothing on disk is changed.

What manifests can get wrong by themselves is in tests/unit/bad_manifests.yaml.
"""

import errno
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading

import pytest
from safetensors.numpy import load_file

import initlib

CODE = """
import numpy as np
from initlib.initializers import Initializer

def shape(shape, dtype=None): return np.zeros((3, 3), dtype)
def dtype(shape, dtype=None): return np.zeros(shape, "float64")
def nothing(shape, dtype=None): pass
def fails(shape, dtype=None): return 1 / 0
def leaves(shape, dtype=None): raise SystemExit(0)
def arguments(shape): return np.zeros(shape)
def two_lines(shape, dtype=None): raise ValueError("one\\ntwo")
number = 3

class Filling(Initializer):
    def fill(self, out, start, target): raise KeyError("lost")

class TooLong(Initializer):
    def whole(self, target): return np.full(3 * 16, 9, target.dtype)

class Returning(Initializer):
    def fill(self, out, start, target): return np.ones_like(out)

class Checking(Initializer):
    def check(self, target): raise OSError("odd")
    def fill(self, out, start, target): out[:] = 1

class Leaving(Initializer):
    def __init__(self): raise SystemExit(0)

class Mute(Exception):
    def __str__(self): return 1 / 0

class Lazy(Initializer):
    def fill(self, out, start, target): out[: out.size // 2] = 1

def mute(shape, dtype=None): raise Mute
def strays(shape, dtype=None):
    import os
    os.chdir("/")
    return np.ones(shape, dtype)

class Picky(Initializer):
    def __init__(self, scale): self.scale = scale
"""


def layer(**keys):
    return {"name": "w", "shape": [4, 4], "initializer": "he_normal", **keys}


def write(folder, manifest):
    (folder / "m.json").write_text(json.dumps(manifest, indent=1))
    (folder / "code.py").write_text(CODE)
    (folder / "broken.py").write_text("def f(:\n")
    (folder / "old.h5").write_text("precious")


def refused(folder, error, **arguments):
    """Run generate, which must fail and change nothing; return the message."""
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(error) as caught:
        initlib.generate(folder / "m.json", **{"output": folder / "m.safetensors", **arguments})
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert after == before
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"initializer": "he_norml"}, "m.json:9: layers[0].initializer: for 'w': unknown init"),
        ({"inizializer": "ones"}, "unknown key 'inizializer'; did you mean 'initializer'?"),
        ({"shape": "4x4"}, "m.json:5: layers[0].shape: "),
        ({"shape": [4, -4]}, "layers[0].shape[1]: received -4, expected"),
        ({"shape": [2**40, 2**40]}, "layers[0].shape: "),
        ({"dtype": "int8"}, "random values need a floating-point dtype, received int8"),
        ({"initializer": "random_normal(stddev=-1)"}, "expected a stddev of 0 or more"),
        ({"initializer": "random_normal(stddev=1/0)"}, "layers[0].initializer"),
        ({"initializer": "random_normal(stddev=width)"}, "'width'"),
        ({"initializer": "random_normal(stddev"}, "layers[0].initializer"),
        ({"initializer": "random_normal(stddev=1e9)", "dtype": "float16"}, "the largest float16"),
        ({"initializer": {"class_name": "Constant", "config": {"value": ".nan"}}}, "number"),
        ({"initializer": "constant(0.5)", "dtype": "int32"}, "int32"),
        ({"name": "a/../b", "initializer": "ones"}, "a/../b"),
        ({"name": ""}, "layers[0].name"),
    ],
)
def test_wrong_layers(tmp_path, keys, problem):
    write(tmp_path, {"layers": [layer(**keys)]})
    message = refused(tmp_path, initlib.ManifestError, output=tmp_path / "m.h5")
    assert message.startswith(f"{tmp_path / 'm.json'}:")
    assert problem in message


@pytest.mark.parametrize("file_format", ["safetensors", "hdf5"])
def test_unholdable_names(tmp_path, file_format):
    write(tmp_path, {"layers": [layer(), layer(name="__metadata__")]})
    message = refused(tmp_path, initlib.ManifestError, format=file_format)
    assert "m.json:" in message
    assert "layers[1]: '__metadata__'" in message


def test_a_dataset_cannot_be_a_group_too(tmp_path):
    write(tmp_path, {"layers": [layer(name="a"), layer(name="a/b")]})
    message = refused(tmp_path, initlib.ManifestError, output=tmp_path / "m.h5")
    assert "layers[" in message
    assert "'a/b'" in message


@pytest.mark.parametrize(
    ("initializer", "problem"),
    [
        ("code.py:shape", "expected shape (4, 4) from shape, received (3, 3)"),
        (
            "code.py:dtype",
            "expected dtype float32 from dtype, received float64; end it with .astype(dtype)",
        ),
        ("code.py:nothing", "expected an array from nothing, which returned nothing"),
        ("code.py:fails", "code.py:fails raised ZeroDivisionError: division by zero (code.py:8)"),
        ("code.py:leaves", "code.py:leaves raised SystemExit: 0 (code.py:9)"),
        ("code.py:arguments", "expected arguments(shape, dtype=None)"),
        ("code.py:two_lines", "raised ValueError: one two (code.py:11)"),
        ("code.py:Filling", "code.py:Filling raised KeyError: 'lost' (code.py:15)"),
        ("code.py:TooLong", "expected shape (4, 4) from TooLong, received (48,)"),
        ("code.py:Returning", "expected `fill` to write into `out`, but it returned something"),
        ("code.py:Checking", "code.py:Checking raised OSError: odd (code.py:24)"),
        ("code.py:Leaving", "code.py:Leaving raised SystemExit: 0 (code.py:28)"),
        ("code.py:mute", "code.py:mute raised Mute: (its message can't be read) (code.py:36)"),
        ("code.py:Picky", "code.py:Picky raised TypeError: "),
        ("code.py:Pickie", "code.py has no 'Pickie'; did you mean 'Picky'?"),
        ("code.py:number", "expected a class or a function, but code.py:number is 3"),
        ("cod.py:f", "there is no file cod.py beside the manifest; did you mean 'code.py'?"),
        ("broken.py:f", "importing broken.py raised SyntaxError: "),
        ("no_such_package.module:f", "importing no_such_package.module raised ModuleNotFoundError"),
    ],
)
def test_custom_code(tmp_path, initializer, problem):
    write(tmp_path, {"layers": [layer(name="other"), layer(initializer=initializer)]})
    message = refused(tmp_path, initlib.ManifestError, allow_code=True)
    assert "layers[1]" in message
    assert "'w'" in message
    assert problem in message
    assert "runs only where --allow-code" in refused(tmp_path, initlib.ManifestError)


def test_what_custom_code_leaves_out_is_zero(tmp_path):
    """And not what the buffer held before."""
    layers = [layer(shape=[1 << 18]), layer(name="z", shape=[1000], initializer="code.py:Lazy")]
    write(tmp_path, {"layers": layers})
    path = tmp_path / "m.safetensors"
    initlib.generate(tmp_path / "m.json", path, allow_code=True, threads=1, memory="1MiB")
    assert load_file(path)["z"].tolist() == [1.0] * 500 + [0.0] * 500


def test_code_that_changes_the_folder_does_not_move_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"layers": [layer(initializer="code.py:strays")]})
    initlib.generate("m.json", "m.safetensors", allow_code=True)
    assert (tmp_path / "m.safetensors").is_file()


def test_code_of_a_manifest_is_not_run_unless_allowed(tmp_path):
    write(tmp_path, {"layers": [layer(initializer="code.py:shape")]})
    (tmp_path / "code.py").write_text("open('ran', 'w')")
    refused(tmp_path, initlib.ManifestError)
    refused(tmp_path, initlib.ManifestError, dry_run=True)


def test_no_space(tmp_path):
    write(tmp_path, {"layers": [layer(shape=[2**57], initializer="ones")]})
    message = refused(tmp_path, initlib.StorageError)
    needed = f"m.safetensors: 512.0PiB are needed, but the disk of {tmp_path} has only "
    assert needed in message


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="there is no tmpfs")  # noqa: S108
@pytest.mark.parametrize("suffix", ["safetensors", "h5"])
def test_a_file_system_in_memory(tmp_path, suffix):
    layers = [layer(shape=[701, 1001]), layer(name="z", shape=[3 << 20], initializer="zeros")]
    here = initlib.generate({"layers": layers}, tmp_path / f"m.{suffix}").path
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        there = initlib.generate({"layers": layers}, f"{folder}/m.{suffix}").path
        assert there.read_bytes() == here.read_bytes()


@pytest.mark.parametrize("suffix", ["safetensors", "h5"])
def test_the_disk_fills_up_on_the_way(tmp_path, monkeypatch, suffix):
    write(tmp_path, {"layers": [layer(shape=[3 << 20])]})
    calls = []

    def pwrite(fd, data, offset):
        calls.append(offset)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return len(data)

    monkeypatch.setattr(os, "pwrite", pwrite)
    path = tmp_path / f"m.{suffix}"
    message = refused(tmp_path, initlib.StorageError, output=path, memory="1MiB", threads=1)
    assert message == f"{path}: No space left on device; free some space, or write elsewhere"


@pytest.mark.parametrize("name", ["old.h5", "m.safetensors"])
def test_a_limit_on_file_sizes(tmp_path, name):
    """A real fault of the system: the file may not grow."""
    write(tmp_path, {"layers": [layer(shape=[1 << 20])]})
    run = subprocess.run(
        [sys.executable, "-m", "initgen", "generate", "m.json", "-o", name, "--force"],
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (3, "")
    assert run.stderr.count("\n") == 1
    assert "File too large" in run.stderr
    assert (tmp_path / "old.h5").read_text() == "precious"
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"m.json", "code.py", "broken.py", "old.h5"}


@pytest.mark.parametrize("output", ["/proc/m.safetensors", "/proc/m.h5"])
def test_a_folder_that_takes_no_files(tmp_path, output):
    write(tmp_path, {"layers": [layer()]})
    assert output in refused(tmp_path, initlib.StorageError, output=output)


@pytest.mark.parametrize("output", ["/dev/full", "/dev/null", "/dev"])
def test_outputs_that_are_no_files(tmp_path, output):
    write(tmp_path, {"layers": [layer()]})
    message = refused(tmp_path, initlib.RequestError, output=output, format="hdf5", force=True)
    assert message.startswith(f"{output}: expected a file's name, ")


def test_a_folder_s_name(tmp_path):
    write(tmp_path, {"layers": [layer()]})
    (tmp_path / "folder").mkdir()
    for output in (tmp_path / "folder", f"{tmp_path}/new/"):
        message = refused(tmp_path, initlib.RequestError, output=output, format="hdf5")
        assert message == f"{output}: expected a file's name, received a folder's"


def test_a_link_to_itself(tmp_path):
    write(tmp_path, {"layers": [layer()]})
    (tmp_path / "loop.h5").symlink_to("loop.h5")
    message = refused(tmp_path, initlib.RequestError, output=tmp_path / "loop.h5", force=True)
    assert "a loop" in message
    assert (tmp_path / "loop.h5").is_symlink()


def test_a_name_that_is_too_long(tmp_path):
    write(tmp_path, {"layers": [layer()]})
    name = tmp_path / ("a" * 300 + ".h5")
    message = refused(tmp_path, initlib.StorageError, output=name)
    assert message == f"{name}: File name too long; choose a shorter one"
    initlib.generate(tmp_path / "m.json", tmp_path / ("a" * 252 + ".h5"))


def test_the_manifest_is_not_replaced(tmp_path):
    write(tmp_path, {"layers": [layer()]})
    path = tmp_path / "m.json"
    message = refused(tmp_path, initlib.RequestError, output=path, format="hdf5", force=True)
    assert message == f"{path}: the output would replace the manifest"


@pytest.mark.parametrize("initializer", ["ones", "orthogonal"])
def test_more_dimensions_than_numpy_has(tmp_path, initializer):
    write(tmp_path, {"layers": [layer(shape=[1] * 65, initializer=initializer)]})
    assert "layers[0].shape: expected at most 64 dimensions, received 65" in refused(
        tmp_path, initlib.ManifestError
    )


def test_the_system_refuses_threads(tmp_path, monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    write(tmp_path, {"layers": [layer()]})
    monkeypatch.setattr(threading.Thread, "start", start)
    message = refused(tmp_path, initlib.StorageError, threads=2)
    assert message.endswith("m.safetensors: the system refuses 4 threads; use fewer --threads")


def test_a_link_is_followed(tmp_path):
    write(tmp_path, {"layers": [layer()]})
    (tmp_path / "link.h5").symlink_to("old.h5")
    initlib.generate(tmp_path / "m.json", tmp_path / "link.h5", force=True)
    assert (tmp_path / "link.h5").is_symlink()
    assert (tmp_path / "old.h5").read_bytes()[1:4] == b"HDF"


def test_an_output_that_appears_meanwhile_is_kept(tmp_path):
    write(tmp_path, {"layers": [layer()]})
    path = tmp_path / "m.safetensors"

    def appear(done, total):
        path.write_text("precious")

    with pytest.raises(initlib.RequestError, match=r"m\.safetensors exists"):
        initlib.generate(tmp_path / "m.json", path, progress=appear)
    assert path.read_text() == "precious"
    assert not [p for p in tmp_path.iterdir() if p.suffix == ".tmp"]
