"""Google's storage: resumable uploads, which take their names at their ends."""

import json
from types import SimpleNamespace

import pytest
from google_storage import serving_google
from stores import LAYERS, SHARDS, Fault

import initlib
from initlib._remote import Address, _systems

# What gcsfs does, and aiohttp advises against.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
# Three parts of an upload.
BIG = {"layers": [{"name": "big", "shape": [5 << 20], "initializer": "random_normal"}]}
ADDRESS = "gs://bucket-1/big.safetensors"
UPLOAD = "uploadType=resumable"


@pytest.fixture(scope="session")
def server():
    with serving_google() as store:
        yield store


@pytest.fixture
def google(server, monkeypatch, tmp_path):
    """Give a store with an empty bucket, and nobody's credentials."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.endpoint)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    server.begin()
    yield server
    server.faults = []


@pytest.fixture
def big(tmp_path):
    initlib.generate(BIG, tmp_path / "big.safetensors")
    return (tmp_path / "big.safetensors").read_bytes()


def stop():
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["m.safetensors", "a b/ü%41 [1]*?#&+.h5"])
def test_a_file(google, initgen, tmp_path, name):
    (tmp_path / "m.json").write_text(json.dumps({"layers": LAYERS}))
    address = f"gs://bucket-1/{name}"
    local = tmp_path / f"local{name[name.rindex('.') :]}"
    initlib.generate({"layers": LAYERS}, local)
    made = initgen("generate", "m.json", "-o", address)
    assert (made.returncode, made.stderr) == (0, "")
    assert google.contents() == {name: local.read_bytes()}
    assert initlib.verify(address).same
    with pytest.raises(initlib.RequestError, match="exists; --force"):
        initlib.generate({"layers": LAYERS}, address)


def test_many_parts_and_a_folder(google, big, tmp_path):
    initlib.generate(BIG, ADDRESS)
    assert google.contents() == {"big.safetensors": big}
    assert google.count("POST", "upload_id=") == 4
    initlib.generate(BIG, ADDRESS, force=True, seed=1)
    assert not initlib.diff(ADDRESS, tmp_path / "big.safetensors").same
    done = initlib.generate({"layers": LAYERS}, "gs://bucket-1/d/", **SHARDS)
    initlib.generate({"layers": LAYERS}, tmp_path / "d", **SHARDS)
    for name in ("d", "d/model.safetensors.index.json"):
        there, here = f"gs://bucket-1/{name}", tmp_path / name
        assert initlib.diff(there, here).same
        assert initlib.verify(there).same
        assert initlib.describe(there).tensors == initlib.describe(here).tensors
        assert initlib.manifest(there).text == initlib.manifest(here).text
    again = initlib.generate({"layers": LAYERS}, "gs://bucket-1/d", resume=True, **SHARDS)
    assert again.kept == done.files
    with pytest.raises(initlib.RequestError, match=r"no such file; did you mean 'big\.safe"):
        initlib.describe("gs://bucket-1/bigg.safetensors")


@pytest.mark.parametrize("part", [UPLOAD, "bytes 8388608-16777215/"])
def test_requests_that_fail_once(google, big, part):
    google.faults = [Fault(503, "POST", part, times=1)]
    initlib.generate(BIG, ADDRESS)
    assert google.faults[0].met
    assert google.contents() == {"big.safetensors": big}


@pytest.mark.parametrize(
    "part", [UPLOAD, "bytes 0-8388607/", "bytes 8388608-16777215/", "bytes 16777216-", "/20975"]
)
def test_requests_that_fail_for_ever(google, big, part):
    """The last of them would let the file take its name."""
    google.faults = [Fault(403, "POST", part)]
    with pytest.raises(initlib.StorageError, match=f"^{ADDRESS}: cannot write: the store refuses"):
        initlib.generate(BIG, ADDRESS)
    assert google.faults[0].met
    assert google.contents() == {}


def test_an_interrupt_leaves_what_is_there(google, big):
    initlib.generate(BIG, ADDRESS)
    with pytest.raises(KeyboardInterrupt):
        initlib.generate(BIG, ADDRESS, seed=1, force=True, commit=stop)
    assert google.count("DELETE", "upload_id=") == 1
    assert google.contents() == {"big.safetensors": big}


@pytest.mark.parametrize(
    ("address", "fault", "message"),
    [
        ("gs://bucket-2/m.h5", None, "gs://bucket-2/m.h5: there is no bucket 'bucket-2'"),
        (ADDRESS, Fault(401), "credentials are missing or don't work: as the test"),
        (ADDRESS, Fault(403), "cannot read: the store refuses it: Forbidden"),
    ],
)
def test_what_can_t_be_done(google, address, fault, message):
    google.faults = [fault] if fault else []
    for call in (initlib.describe, initlib.verify, lambda output: initlib.generate(BIG, output)):
        with pytest.raises(initlib.InitlibError, match=message):
            call(address)
    assert google.contents() == {}


def test_a_store_that_never_answers(google, monkeypatch):
    """What is configured has precedence; gcsfs itself would wait for ever."""
    import fsspec
    import gcsfs.retry

    async def at_once(_seconds):
        pass

    assert Address(ADDRESS).system.requests_timeout.sock_read == _systems.SILENCE
    monkeypatch.setitem(fsspec.config.conf, "gs", {"requests_timeout": 3})
    assert Address(ADDRESS).system.requests_timeout == 3
    monkeypatch.delitem(fsspec.config.conf, "gs")
    monkeypatch.setattr(_systems, "SILENCE", 0.1)
    monkeypatch.setattr(gcsfs.retry, "asyncio", SimpleNamespace(sleep=at_once))
    google.faults = [Fault("slow")]
    with pytest.raises(initlib.StorageError, match="cannot read: no answer in time"):
        initlib.describe(ADDRESS)
    assert google.faults[0].met


def test_zonal_buckets_are_refused(google, monkeypatch):
    """What is in them is seen at once, and can't be taken back."""
    from gcsfs import extended_gcsfs

    monkeypatch.setattr(
        extended_gcsfs.ExtendedGcsFileSystem,
        "_sync_lookup_bucket_type",
        lambda *_: extended_gcsfs.BucketType.ZONAL_HIERARCHICAL,
    )
    with pytest.raises(initlib.RequestError, match=f"^{ADDRESS}: in zonal buckets of Google's"):
        initlib.generate(BIG, ADDRESS)
    assert not google.count("POST")
