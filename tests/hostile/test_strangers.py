"""Manifests and checkpoints of strangers: nothing in them runs, and names lead nowhere else."""

import json
import os
import pickle
import zipfile

import h5py
import numpy as np
import pytest

import initlib
from initlib._errors import InitlibError, RequestError
from initlib._provenance import KEY, checksum, manifest_sha256
from initlib._version import __version__

RAN = "ran"


class Attack:
    """What leaves a file behind when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, (RAN,)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder to be in, with code in it that leaves a folder when it is run."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "evil.py").write_text(f"import os\nos.mkdir({str(inside / RAN)!r})\ndef f(s, d): 1\n")
    monkeypatch.chdir(inside)
    monkeypatch.syspath_prepend(str(inside))
    yield inside
    assert not (inside / RAN).exists()


def layer(initializer):
    return {"name": "w", "shape": [2], "initializer": initializer}


def provenance(initializer, rows=({"class_name": "Zeros", "config": {}},), **keys):
    """Return the metadata of a file that claims to be made so."""
    manifest = {"version": 1, "seed": 0, "dtype": "float32", "layers": [layer(initializer)]}
    record = {
        "checksum": "0" * 64,
        "initializers": list(rows),
        "manifest": manifest,
        "manifest_sha256": manifest_sha256(manifest),
        "seed": 0,
        "stream": 1,
        "tensors": {"w": [0, "0" * 64]},
        "version": __version__,
        **keys,
    }
    metadata = {KEY: json.dumps(record, separators=(",", ":"), sort_keys=True)}
    record["checksum"] = checksum(metadata)
    return {KEY: json.dumps(record, separators=(",", ":"), sort_keys=True)}


def checkpoint(path, metadata, name="w"):
    """Write a safetensors file with one tensor."""
    tensor = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    header = json.dumps({"__metadata__": metadata, name: tensor}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    return path


def attempt(function, *arguments, **keywords):
    """Call a function; return its result, or a refusal of one line."""
    try:
        return function(*arguments, **keywords)
    except InitlibError as error:
        message = str(error)
        assert len(message.splitlines()) == 1
        assert len(message) < 2000
        return message


def everything(path):
    """Do all to a checkpoint that needs nothing but the checkpoint."""
    return [
        attempt(initlib.describe, path),
        attempt(initlib.verify, path),
        attempt(initlib.verify, path, quick=True),
        attempt(initlib.diff, path, path),
        attempt(initlib.manifest, path),
    ]


CODE = {
    "file": "evil.py:f",
    "module": "evil:f",
    "config": {"class_name": "evil.py:f", "config": {"x": 1}},
    "keras": {"class_name": "f", "module": "evil", "registered_name": "evil>f", "config": {}},
    "lambda": {"class_name": "function", "module": "evil", "config": "f"},
    "inside": {
        "class_name": "concatenate",
        "config": {
            "sizes": [2],
            "initializers": [{"class_name": "f", "module": "evil", "config": {}}],
        },
    },
}


@pytest.mark.parametrize("initializer", CODE.values(), ids=CODE)
def test_code_in_a_manifest(folder, initializer):
    manifest = {"layers": [layer(initializer)]}
    for keywords in ({}, {"dry_run": True}):
        message = attempt(initlib.generate, manifest, folder / "m.safetensors", **keywords)
        assert isinstance(message, str)
    path = folder / "m.json"
    path.write_text(json.dumps(manifest))
    attempt(initlib.describe, path)
    plain = checkpoint(folder / "plain.safetensors", {})
    attempt(initlib.verify, plain, manifest=manifest)
    attempt(initlib.describe, plain, manifest=manifest)
    attempt(initlib.manifest, plain, rules=str(path))


@pytest.mark.parametrize("initializer", CODE.values(), ids=CODE)
def test_code_in_a_provenance(folder, initializer):
    row = initializer if isinstance(initializer, dict) else {"class_name": initializer}
    rows = [{"config": {}, **row, "custom": True, "source_sha256": "0" * 64}]
    for rows_of in (rows, ({"class_name": "Zeros", "config": {}},)):
        everything(checkpoint(folder / "m.safetensors", provenance(initializer, rows_of)))
    everything(checkpoint(folder / "m.safetensors", provenance("zeros", rows)))


@pytest.mark.parametrize(
    "text",
    [
        "layers: !!python/object/apply:os.mkdir [ran]",
        "layers: !!python/name:evil.f ''",
        "layers: !!python/module:evil ''",
        "%TAG ! tag:yaml.org,2002:python/\n---\nlayers: !object/apply:os.mkdir [ran]",
        "layers: [{name: w, shape: [\"__import__('os').mkdir('ran')\"], initializer: zeros}]",
        'layers: [{name: "{i.__class__}", shape: [], initializer: zeros}]',
        "layers: [{name: w, shape: [2], initializer: \"constant(open('ran', 'w'))\"}]",
        'layers: [{name: w, shape: [2], initializer: "evil.f()"}]',
    ],
)
def test_code_in_yaml(folder, text):
    path = folder / "m.yaml"
    path.write_text(text)
    for function in (initlib.describe, initlib.generate):
        assert isinstance(attempt(function, path), str)


@pytest.mark.parametrize("name", ["m.safetensors", "m.h5", "m.keras", "m.pt", "m"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles(folder, name, protocol):
    (folder / name).write_bytes(pickle.dumps(Attack(), protocol))
    assert all(isinstance(found, str) for found in everything(folder / name))


def test_pickles_in_archives(folder):
    with zipfile.ZipFile(folder / "m.pt", "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(Attack()))
    np.savez(folder / "m.npz", w=np.array([Attack()], dtype=object))
    np.save(folder / "m.npy", np.array([Attack()], dtype=object))
    for name in ("m.pt", "m.npz", "m.npy"):
        assert all(isinstance(found, str) for found in everything(folder / name))


def test_layers_of_a_keras_archive(folder):
    custom = {"module": "evil", "class_name": "f", "config": {}, "registered_name": "evil>f"}
    code = {"class_name": "__lambda__", "config": {"code": "4wAAAAA="}}
    function = {"module": "keras.layers", "class_name": "Lambda", "config": {"function": code}}
    config = {"layers": [custom, function, {**custom, "class_name": "Dense"}]}
    model = {"module": "keras", "class_name": "Sequential", "config": config}
    with h5py.File(folder / "model.weights.h5", "w") as file:
        file["layers/f/vars/0"] = np.ones(2, np.float32)
    with zipfile.ZipFile(folder / "m.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(model))
        archive.writestr("../escaped", "")
        archive.write("model.weights.h5")
    (folder / "m.json").write_text(json.dumps(model))
    everything(folder / "m.keras")
    attempt(initlib.manifest, folder / "m.json")
    assert not (folder.parent / "escaped").exists()


@pytest.fixture
def outside(folder):
    """A checkpoint outside of the folder, which nothing may open, and ways there."""
    path = checkpoint(folder.parent / "outside.safetensors", {})
    (folder / "link.safetensors").symlink_to(path)
    (folder / "up").symlink_to("..")
    os.mkfifo(folder / "pipe")
    (folder / "shards").mkdir()
    (folder / "shards" / "m.safetensors").symlink_to(path)
    (folder / "loop").symlink_to("loop")
    (folder / "indexed").mkdir()
    (folder / "indexed" / "a.safetensors").symlink_to(path)
    index = {"weight_map": {"w": "a.safetensors"}}
    (folder / "indexed" / "model.safetensors.index.json").write_text(json.dumps(index))
    return path


@pytest.mark.parametrize(
    "way",
    [
        *("../outside.safetensors", "link.safetensors", "up/outside.safetensors", "shards", ".."),
        *("indexed", "indexed/model.safetensors.index.json", "loop", "x" * 5000),
        *("{outside}", "/dev/zero", "/dev/stdin", "/proc/self/mem", "/etc/passwd", "pipe", "/"),
    ],
)
def test_a_provenance_opens_nothing_outside(folder, outside, way, monkeypatch):
    opened = []
    initializer = {"class_name": "FromFile", "config": {"path": way.format(outside=outside)}}
    path = checkpoint(folder / "m.safetensors", provenance(initializer))
    real = os.open

    def noted(place, *arguments, **keywords):
        opened.append(os.path.realpath(place))
        return real(place, *arguments, **keywords)

    monkeypatch.setattr(os, "open", noted)
    found = everything(path)[1]
    assert not isinstance(found, str)
    assert not found.same
    assert any("digests are compared" in note for note in found.notes)
    assert str(path) in opened
    assert str(outside) not in opened
    assert not [place for place in opened if place.startswith(("/dev/", "/proc/", "/etc/"))]


def test_a_provenance_opens_what_is_beside_the_file(folder):
    checkpoint(folder / "base.safetensors", {})
    manifest = {"layers": [layer('from_file("base.safetensors")')]}
    (folder / "m.json").write_text(json.dumps(manifest))
    path = initlib.generate(folder / "m.json", folder / "m.safetensors").path
    found = initlib.verify(path)
    assert (found.same, found.values, found.notes) == (True, 1, ())


def test_a_manifest_of_one_s_own_opens_what_it_names(folder, outside):
    manifest = {"layers": [layer(f'from_file("{outside}")')]}
    path = initlib.generate(manifest, folder / "m.safetensors").path
    assert initlib.verify(path).digest == 1
    assert initlib.verify(path, manifest=manifest).values == 1


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "..", "con", "a\\..\\x", "/dev/null"])
@pytest.mark.parametrize("suffix", ["safetensors", "h5"])
def test_names_of_tensors_are_no_files(folder, name, suffix):
    manifest = {"layers": [{**layer("zeros"), "name": name}]}
    before = sorted(folder.parent.iterdir())
    result = attempt(initlib.generate, manifest, folder / f"m.{suffix}")
    if not isinstance(result, str):
        assert [row.name for row in initlib.describe(result.path).tensors] == [name]
        assert initlib.verify(result.path).same
    assert sorted(folder.parent.iterdir()) == before
    assert {each.name for each in folder.iterdir()} <= {"evil.py", f"m.{suffix}"}


def test_hdf5_leads_to_no_other_file(folder, outside, monkeypatch):
    """Links, virtual datasets and external storage, of which the last two need no look to open."""
    secret = folder.parent / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = np.ones(4, np.float32)
    layout = h5py.VirtualLayout((4,), np.float32)
    layout[:] = h5py.VirtualSource(str(secret), "x", (4,))
    with h5py.File(folder / "m.h5", "w") as file:
        file["external"] = h5py.ExternalLink(str(secret), "/x")
        file["soft"] = h5py.SoftLink("/w")
        file.create_dataset("stored", (8,), np.uint8, external=[(str(outside), 0, 8)])
        file.create_virtual_dataset("virtual", layout)
        file["w"] = np.ones(2, np.float32)
        file.create_dataset("reference", data=file["w"].ref, dtype=h5py.ref_dtype)
    found = initlib.describe(folder / "m.h5")
    assert [row.name for row in found.tensors] == ["w"]
    assert {row.name: row.what for row in found.unread} == {
        "external": f"an external link to '/x' in {str(secret)!r}",
        "soft": "a link to '/w'",
        "stored": "values in other files",
        "virtual": "values in other files",
        "reference": "references",
    }
    with pytest.raises(RequestError, match="stored"):
        initlib.describe(folder / "m.h5", tensor="stored")


@pytest.mark.parametrize("kind", ["stored", "virtual"])
def test_hdf5_metadata_in_another_file(folder, kind):
    (folder.parent / "secret").write_text('{"k":"v"}')
    with h5py.File(folder / "m.h5", "w") as file:
        if kind == "stored":
            place = [(str(folder.parent / "secret"), 0, 9)]
            file.create_dataset("__metadata__", (9,), np.uint8, external=place)
        else:
            layout = h5py.VirtualLayout((9,), np.uint8)
            layout[:] = h5py.VirtualSource(str(folder.parent / "secret"), "x", (9,))
            file.create_virtual_dataset("__metadata__", layout)
    for found in everything(folder / "m.h5"):
        assert "'v'" not in str(found)


ESCAPES = "\x1b]0;title\x07\x1b[31m\u202e\u0085\u2028\r"


def test_escapes_in_names_and_messages(folder, capfd, monkeypatch):
    import sys

    from initgen.__main__ import main

    checkpoint(folder / "m.safetensors", {}, ESCAPES)
    checkpoint(folder / "p.safetensors", provenance(ESCAPES, version=ESCAPES))
    (folder / "m.json").write_text(json.dumps({"layers": [{**layer("zeros"), "name": ESCAPES}]}))
    (folder / "n.json").write_text(json.dumps({"layers": [{ESCAPES: 1}]}))
    (folder / "r.json").write_text(json.dumps({"layers": [layer(ESCAPES)], "vars": {ESCAPES: 1}}))
    for arguments in (
        *(["describe", name] for name in ("m.safetensors", "m.json", "n.json", "r.json", ESCAPES)),
        *(["verify", "m.safetensors", "--manifest", name] for name in ("m.json", "n.json")),
        *(["verify", name] for name in ("m.safetensors", "p.safetensors")),
        ["describe", "m.safetensors", "--tensor", ESCAPES],
        ["diff", "m.safetensors", "p.safetensors"],
        ["generate", "m.json", "--dry-run"],
    ):
        monkeypatch.setattr(sys, "argv", ["initgen", *arguments])
        with pytest.raises(SystemExit):
            main()
        out, err = capfd.readouterr()
        assert (out + err).replace("\n", "").isprintable(), arguments
        assert err.count("\n") <= 1
