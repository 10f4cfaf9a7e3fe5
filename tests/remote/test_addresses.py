"""Addresses that are wrong, and what they need that isn't there, in one line each."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import initlib
from initlib._remote import Address, path_of

LAYERS = {"layers": [{"name": "a", "shape": [3], "initializer": "ones"}]}


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("s3://", "s3://: it names no bucket; expected an address such as s3://bucket/key"),
        ("s3:///key", "s3:///key: it names no bucket; expected"),
        ("https:///key", "https:///key: it names no server; expected"),
        ("s3:/bucket/key", "s3:/bucket/key: there is no such file; did you mean 's3://bucket/key'"),
        (
            "memori://x",
            "memori://x: there are no addresses of the kind 'memori'; did you mean 'mem",
        ),
        ("z9://x", "z9://x: there are no addresses of the kind 'z9'"),
        ("a_b://x", "a_b://x: expected an address such as s3://bucket/key"),
        ("memory://a\0b", "expected an address such as"),
        ("file://x", "file://x: expected a whole path, such as file:///x"),
        ("git://x", "git://x: "),
        ("sftp://me:secret@host/x", "sftp://host/x: "),
        ("s3://me:secret@bucket/x", "s3://bucket/x: credentials don't go into a bucket's address"),
        ("memory://nothing", "memory://nothing: there is no such file"),
    ],
)
def test_wrong_addresses(memory, address, message):
    for call in (initlib.describe, lambda name: initlib.diff(name, name), initlib.verify):
        with pytest.raises(initlib.InitlibError) as caught:
            call(address)
        assert message in str(caught.value)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("s3://bucket", "such as s3://bucket/model.safetensors, or s3://bucket/ for a folder"),
        ("https://host/m.h5", "https://host/m.h5: files can be read over https, but not written"),
        ("https://host/d/", "https://host/d/: files can be read over https, but not written"),
        ("memory://d/m.h5x", "no format has the suffix '.h5x'"),
        ("memory://d/m", "no format has the suffix ''"),
        ("s3:/bucket/m.h5", "did you mean 's3://bucket/m.h5'?"),
        ("git://x/m.h5", "git://x/m.h5: "),
    ],
)
def test_wrong_outputs(memory, output, message):
    with pytest.raises(initlib.RequestError) as caught:
        initlib.generate(LAYERS, output)
    assert message in str(caught.value)


def test_shards_need_a_folder_s_address(memory):
    with pytest.raises(initlib.RequestError, match="expected a folder's name for shards"):
        initlib.generate(LAYERS, "memory://d/m.safetensors", max_shard_size="1GB")
    with pytest.raises(initlib.RequestError, match="a folder is of safetensors files, not of hdf5"):
        initlib.generate(LAYERS, "memory://d/", format="hdf5", max_shard_size="1GB")


@pytest.mark.parametrize(
    ("missing", "address", "message"),
    [
        (
            "fsspec",
            "s3://b/k",
            "this needs fsspec, which isn't installed: pip install 'initgen[s3]'",
        ),
        ("fsspec", "gs://b/k", "pip install 'initgen[gs]'"),
        ("fsspec", "memory://k", "pip install 'initgen[remote]'"),
        ("s3fs", "s3://b/k", "this needs s3fs, which isn't installed: pip install 'initgen[s3]'"),
        ("gcsfs", "gs://b/k", "this needs gcsfs, which isn't installed: pip install 'initgen[gs]'"),
        (
            "aiohttp",
            "https://h/k",
            "needs aiohttp, which isn't installed: pip install 'initgen[rem",
        ),
    ],
)
def test_what_isn_t_installed(missing, address, message, tmp_path):
    code = (
        "import sys\n"
        f"sys.modules[{missing!r}] = None\n"
        "import initgen.__main__ as main\n"
        f"sys.argv = ['initgen', 'describe', {address!r}]\n"
        "main.main()\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith(f"initgen: {address}: ")
    assert message in run.stderr
    assert run.stderr.count("\n") == 1


def test_nothing_is_loaded_without_an_address(mlp, tmp_path):
    code = (
        "import sys, initlib\n"
        "initlib.generate('mlp.yaml', 'm.h5'); initlib.generate('mlp.yaml', 'd/', resume=True)\n"
        "initlib.describe('m.h5'); initlib.verify('m.h5'); initlib.diff('m.h5', 'd')\n"
        "initlib.manifest('d'); initlib.open('m.h5'); initlib.TextFile('x.txt')\n"
        "bad = {'fsspec', 'asyncio', 'aiohttp', 'botocore', 's3fs', 'gcsfs'} & sys.modules.keys()\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


@pytest.mark.parametrize("options", [{"engine": "dask"}, {"part": "1/2"}, {"finish": True}])
def test_files_at_addresses_are_made_by_one_process(options):
    with pytest.raises(
        initlib.RequestError, match=r"^memory://d/: --engine, --part and --finish a"
    ):
        initlib.generate(LAYERS, "memory://d/", **options)


def test_reports_are_files_of_this_machine():
    for name in ("s3://b/x.html", Path("s3://b/x.html"), "memory://b/x.html"):
        with pytest.raises(
            initlib.RequestError,
            match=r"^\w+://b/x.html: expected a file of this machine, not an a",
        ):
            initlib.TextFile(name)


def test_files_by_address_are_local_files(tmp_path):
    output = f"file://{tmp_path}/m n.h5"
    initlib.generate(LAYERS, output)
    assert initlib.verify(output).same
    assert [each.name for each in tmp_path.iterdir()] == ["m n.h5"]
    initlib.generate(LAYERS, f"file://{tmp_path}/d/", max_shard_size="1GB")
    assert initlib.verify(f"file://{tmp_path}/d").same
    (tmp_path / "s3:").mkdir()
    (tmp_path / "s3:" / "x").touch()
    assert path_of(f"{tmp_path}/s3:/x") == tmp_path / "s3:" / "x"


def test_parts_of_addresses():
    address = Address("S3://bucket/a b/ü.tar.gz")
    assert str(address) == "s3://bucket/a b/ü.tar.gz"
    assert (address.name, address.suffix) == ("ü.tar.gz", ".gz")
    assert str(address.parent) == "s3://bucket/a b"
    assert str(address.parent.parent.parent) == "s3://bucket"
    assert str(address.parent / "x") == "s3://bucket/a b/x"
    assert str(address.with_name("y")) == "s3://bucket/a b/y"
    assert str(Address("memory://x").with_name("y")) == "memory://y"
    assert str(Address("memory://x").parent) == "memory://"
    assert path_of(address) is address
    assert path_of("C:/x") == Path("C:/x")


def test_secrets_are_not_shown():
    address = Address("https://me:pass@host/m.h5?signature=abc")
    assert (str(address), address.name) == ("https://host/m.h5?...", "m.h5")
    assert os.fspath(address) == "https://me:pass@host/m.h5?signature=abc"
    assert str(address.parent / "x") == "https://host/x"
    assert "pass" not in repr(address)
