"""The command and a store that speaks S3: what a user sees, and what is left there."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import fsspec
import pytest
from stores import SHARDS, Fault

import initlib
from initlib._formats import Safetensors, storage_errors
from initlib._remote import _uploading
from initlib._remote._uploading import PART, part_size

# Three parts of a multipart upload.
BIG = {"layers": [{"name": "big", "shape": [5 << 20], "initializer": "random_normal"}]}


@pytest.fixture
def big(tmp_path):
    (tmp_path / "big.json").write_text(json.dumps(BIG))
    return "big.json"


def contents(bucket):
    """What anybody sees in the bucket; no upload is left unfinished."""
    bucket.system.invalidate_cache()
    left = bucket.system.call_s3("list_multipart_uploads", Bucket=bucket.bucket)
    assert not left.get("Uploads")
    return {
        name.removeprefix(f"{bucket.bucket}/"): bucket.system.cat_file(name)
        for name in bucket.system.find(bucket.bucket)
    }


def assert_refused(run, code, *messages):
    """One line, in which nothing secret is."""
    assert (run.returncode, run.stdout) == (code, ""), run
    assert run.stderr.startswith("initgen: ")
    assert run.stderr.count("\n") == 1
    assert "not-to-be-shown" not in run.stderr
    for message in messages:
        assert message in run.stderr


@pytest.mark.parametrize("name", ["m.safetensors", "a b/ü%41 [1]*?#&+.h5"])
def test_a_file(run, bucket, manifest, tmp_path, name):
    address = f"s3://{bucket.bucket}/{name}"
    local = tmp_path / f"local{name[name.rindex('.') :]}"
    initlib.generate(manifest, local)
    made = run("generate", manifest, "-o", address)
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.startswith(f"{address}: 15 tensors, ")
    assert contents(bucket) == {name: local.read_bytes()}
    # Whatever is made here, it looks at a store that has the file.
    checked = run("verify", address)
    assert checked.returncode == 0, checked
    assert "every bit is as its provenance says" in checked.stdout
    assert_refused(run("generate", manifest, "-o", address), 2, f"{address} exists; --force")


def test_many_parts_and_a_folder(bucket, manifest, big, tmp_path):
    """In this process, since the command does the same."""
    bucket.system.pipe_file(f"{bucket.bucket}/m.json", manifest.read_bytes())
    root = f"s3://{bucket.bucket}"
    initlib.generate(tmp_path / big, f"{root}/big.h5", threads=2)
    assert bucket.count("PUT", "partNumber=") == 3
    initlib.generate(f"{root}/m.json", f"{root}/d/", **SHARDS)
    initlib.generate(tmp_path / big, tmp_path / "big.h5")
    initlib.generate(manifest, tmp_path / "d", **SHARDS)
    found = contents(bucket)
    assert found.pop("m.json")
    assert found == {
        str(path.relative_to(tmp_path)): path.read_bytes()
        for path in (tmp_path / "big.h5", *(tmp_path / "d").iterdir())
    }
    for name in ("big.h5", "d", "d/", "d/model.safetensors.index.json"):
        assert initlib.diff(f"{root}/{name}", tmp_path / name).same
        assert initlib.verify(f"{root}/{name}").same
        told, known = initlib.describe(f"{root}/{name}"), initlib.describe(tmp_path / name)
        assert (told.tensors, told.files) == (known.tensors, known.files)
        assert initlib.manifest(f"{root}/{name}").text == initlib.manifest(tmp_path / name).text
    with pytest.raises(initlib.RequestError, match=r"there is no such file; did you mean 'big\.h5"):
        initlib.describe(f"{root}/bigg.h5")
    done = initlib.generate(f"{root}/m.json", f"{root}/d/", resume=True, **SHARDS)
    assert done.kept == done.files


@pytest.mark.parametrize(
    "fault",
    [
        Fault(503, "PUT", "partNumber=2", times=1),
        Fault(500, "PUT", "partNumber=2", times=1),
        Fault("closed", "PUT", "partNumber=2", times=1),
        Fault("lost", "PUT", "partNumber=2", times=1),
        Fault("slow", "PUT", "partNumber="),
        Fault(503, "POST", "uploads", times=1),
        Fault(503, "POST", "uploadId", times=1),
        Fault("lost", "POST", "uploadId", times=1),
    ],
    ids=lambda fault: f"{fault.what}-{fault.method}-{fault.part}",
)
def test_requests_that_fail_once_or_are_slow(bucket, big, tmp_path, fault):
    bucket.faults = [fault]
    initlib.generate(tmp_path / big, f"s3://{bucket.bucket}/big.safetensors")
    assert fault.met
    initlib.generate(tmp_path / big, tmp_path / "big.safetensors")
    assert contents(bucket) == {"big.safetensors": (tmp_path / "big.safetensors").read_bytes()}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(500, "PUT", "partNumber=2"), "cannot write: We encountered an internal error."),
        (Fault("closed", "PUT", "partNumber="), "cannot write: "),
        (Fault(403, "PUT", "partNumber=1"), "cannot write: the store refuses it: Access Denied"),
        (Fault(403, "POST", "uploads"), "cannot write: the store refuses it: Access Denied"),
        (Fault(500, "POST", "uploadId"), "cannot write: We encountered an internal error."),
        (Fault(403, "HEAD"), "cannot read: the store refuses it: Forbidden; docs/remote.md"),
        (Fault(400, "HEAD"), "cannot read: Bad Request, as S3 answers where credentials have exp"),
    ],
    ids=lambda each: f"{each.what}-{each.method}-{each.part}" if isinstance(each, Fault) else "",
)
def test_requests_that_fail_for_ever(run, bucket, big, tmp_path, fault, message):
    address = f"s3://{bucket.bucket}/big.safetensors"
    bucket.system.pipe_file(f"{bucket.bucket}/other", b"other")
    bucket.faults = [fault]
    if fault.what in (400, 403):
        # What isn't tried again takes no process of its own.
        with pytest.raises(initlib.StorageError, match=f"{address}: {message}"):
            initlib.generate(tmp_path / big, address)
    else:
        assert_refused(run("generate", big, "-o", address), 3, f"{address}: {message}")
    bucket.faults = []
    assert contents(bucket) == {"other": b"other"}


def test_files_that_commit_by_themselves(bucket, big, tmp_path, monkeypatch):
    """As Google's storage has them; those of S3 can do it, too."""
    monkeypatch.setitem(_uploading._KINDS, "s3", _uploading.FileUpload)
    address = f"s3://{bucket.bucket}/big.safetensors"

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        initlib.generate(tmp_path / big, address, commit=stop)
    bucket.faults = [Fault(403, "PUT", "partNumber=2")]
    with pytest.raises(initlib.StorageError, match="the store refuses it"):
        initlib.generate(tmp_path / big, address)
    assert contents(bucket) == {}
    bucket.faults = []
    initlib.generate(tmp_path / big, address)
    initlib.generate(tmp_path / big, tmp_path / "big.safetensors")
    assert contents(bucket) == {"big.safetensors": (tmp_path / "big.safetensors").read_bytes()}


def test_what_can_t_be_taken_back_is_told(run, bucket, big):
    bucket.faults = [Fault(500, "PUT", "partNumber=2"), Fault(403, "DELETE")]
    address = f"s3://{bucket.bucket}/big.safetensors"
    found = run("generate", big, "-o", address)
    assert_refused(found, 3, "internal error", "cannot remove the unfinished upload", "takes room")


@pytest.mark.parametrize("what", [503, "closed", "lost", "slow"])
def test_reading_over_a_bad_network(bucket, manifest, what):
    address = f"s3://{bucket.bucket}/m.safetensors"
    initlib.generate(manifest, address)
    bucket.faults = [Fault(what, "GET", "m.safetensors", times=1, after=2)]
    assert initlib.verify(address).same
    assert bucket.faults[0].met > 3


def test_reading_that_fails_for_ever(run, bucket, manifest):
    address = f"s3://{bucket.bucket}/m.safetensors"
    initlib.generate(manifest, address)
    bucket.faults = [Fault(500, "GET", "m.safetensors", after=2)]
    message = f"{address}: cannot read: We encountered an internal error."
    assert_refused(run("verify", address), 3, message)
    for call in (initlib.describe, lambda name: initlib.diff(name, name)):
        bucket.faults[0].met = 0
        with pytest.raises(initlib.StorageError, match=message):
            call(address)


def test_missing_buckets(run, bucket, manifest):
    address = "s3://no-such-bucket/m.h5"
    message = f"{address}: there is no bucket 'no-such-bucket'"
    assert_refused(run("generate", manifest, "-o", address), 2, message)
    for call in (initlib.describe, initlib.verify, initlib.manifest, initlib.open):
        with pytest.raises(initlib.RequestError, match=message):
            call(address)
    with pytest.raises(initlib.RequestError, match="no bucket 'no-such-bucket'"):
        initlib.generate(manifest, "s3://no-such-bucket/d/")
    with pytest.raises(
        initlib.RequestError, match=r"^s3://No!/m.h5: no bucket can be named 'No!'$"
    ):
        initlib.generate(manifest, "s3://No!/m.h5")
    # Nothing was made for nothing.
    assert not bucket.count("POST")


def test_missing_credentials(run, manifest):
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    for command in (("generate", manifest, "-o", "s3://b-1/m.h5"), ("describe", "s3://b-1/m.h5")):
        found = run(*command, **nobody)
        assert_refused(found, 3, "s3://b-1/m.h5: ", "credentials are missing", "docs/remote.md")


def test_the_bucket_goes_meanwhile(bucket, big, tmp_path):
    def progress(done, total):
        if done > total * 0.8 and bucket.system.exists(bucket.bucket):
            for each in bucket.system.call_s3("list_multipart_uploads", Bucket=bucket.bucket)[
                "Uploads"
            ]:
                bucket.system.call_s3(
                    "abort_multipart_upload",
                    Bucket=bucket.bucket,
                    Key=each["Key"],
                    UploadId=each["UploadId"],
                )
            bucket.system.rmdir(bucket.bucket)

    address = f"s3://{bucket.bucket}/big.safetensors"
    with pytest.raises(initlib.InitlibError, match=f"{bucket.bucket}.*(bucket|upload)"):
        initlib.generate(tmp_path / big, address, progress=progress)
    bucket.system.invalidate_cache()
    assert not bucket.system.exists(bucket.bucket)


@contextmanager
def generating(bucket, folder, *arguments):
    """Run the command meanwhile, with a folder of temporary files of its own."""
    (folder / "tmp").mkdir()
    # A test runner in the background may ignore it, and its children would, too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "initgen", "generate", *arguments],
        cwd=folder,
        env={**os.environ, **bucket.environment, "TMPDIR": str(folder / "tmp")},
        stderr=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal.SIGINT, before)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(bucket, process, method, part):
    while not bucket.count(method, part):
        assert process.poll() is None
        time.sleep(0.01)


@pytest.mark.parametrize("times", [1, 2])
def test_a_signal(bucket, big, tmp_path, times):
    """Nothing is there afterwards, whether one comes or, from somebody in a hurry, two."""
    bucket.faults = [Fault("slow", "PUT", "partNumber=")]
    with generating(bucket, tmp_path, big, "-o", f"s3://{bucket.bucket}/b.h5") as process:
        wait_for(bucket, process, "PUT", "partNumber=")
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        told = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    ending = "nothing was changed" if times == 1 else "at once"
    assert told in (
        f"initgen: stopped by SIGINT; {ending}\n",
        f"initgen: stopped by SIGINT, {ending}\n",
    )
    # The server may still be busy with a part that nobody waits for.
    time.sleep(0.5 * (times - 1))
    bucket.faults = []
    assert contents(bucket) == {}
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_signal_when_a_shard_takes_its_name(bucket, manifest, tmp_path):
    bucket.faults = [Fault("slow", "POST", "uploadId")]
    output = ("-o", f"s3://{bucket.bucket}/d/", "--max-shard-size", "2MB", "--resume")
    with generating(bucket, tmp_path, manifest, *output) as process:
        wait_for(bucket, process, "POST", "uploadId")
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=60)[1]
    kept = "1 of 3 shards are there, and --resume goes on from there"
    assert told == f"initgen: stopped by SIGTERM; {kept}\n"
    assert set(contents(bucket)) == {"d/model-00001-of-00003.safetensors"}


def test_a_store_that_never_answers(run, bucket, manifest):
    """How long is waited is in docs/remote.md, and how that is set."""
    address = f"s3://{bucket.bucket}/m.h5"
    patience = {"config_kwargs": {"read_timeout": 0.1, "retries": {"max_attempts": 0}}}
    bucket.faults = [Fault("slow", "HEAD")]
    found = run("describe", address, FSSPEC_S3=json.dumps(patience))
    assert_refused(found, 3, f"{address}: cannot read: Read timeout on endpoint URL")


def test_checksums_of_s3(bucket, big, tmp_path, monkeypatch):
    """S3 refuses an end that doesn't name them again, once they were asked for."""
    more = {"s3_additional_kwargs": {"ChecksumAlgorithm": "SHA256"}}
    monkeypatch.setitem(fsspec.config.conf, "s3", more)
    call, ends = _uploading.S3Upload._call, []

    def noted(self, method, **more):
        if method == "complete_multipart_upload":
            ends.append(more["MultipartUpload"]["Parts"])
        return call(self, method, **more)

    monkeypatch.setattr(_uploading.S3Upload, "_call", noted)
    initlib.generate(tmp_path / big, f"s3://{bucket.bucket}/big.safetensors")
    assert [set(part) for part in ends[0]] == 3 * [{"PartNumber", "ETag", "ChecksumSHA256"}]


def test_a_temporary_folder_that_is_full(bucket, manifest, monkeypatch):
    """A header is laid out there."""
    monkeypatch.setattr(Safetensors, "create", full)
    with pytest.raises(initlib.StorageError) as caught:
        initlib.generate(manifest, f"s3://{bucket.bucket}/m.safetensors")
    assert re.fullmatch(
        r"s3://\S+/m.safetensors: its header is laid out in \S+ \(TMPDIR names another folder\), "
        "but cannot write: No space left on device; free some space, or write elsewhere",
        str(caught.value),
    )
    assert contents(bucket) == {}


def full(_format, path, _entries, _metadata):
    with storage_errors(path, "write"):
        raise OSError(errno.ENOSPC, "")


@pytest.mark.parametrize(
    "size", [0, 1, 10_000 * PART, 10_000 * PART + 1, 81 * 10**9, 5 << 40], ids=str
)
def test_parts_are_no_more_than_s3_takes(size):
    part = part_size(size)
    assert part >= PART
    assert part % (1 << 20) == 0
    assert -(-size // part) <= 10_000
    assert part == PART or 10_000 * (part - (1 << 20)) < size
