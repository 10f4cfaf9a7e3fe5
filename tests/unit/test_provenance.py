"""The record in a file: written, sealed and read back."""

import json

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

import initlib
from initlib import _manifest, _provenance
from initlib._formats import FORMATS
from initlib._plan import make_plan

LAYERS = [
    {"name": "ü/w", "shape": [3], "initializer": "ones"},
    {"name": 'quo"te', "shape": [2, 2], "initializer": "orthogonal"},
]


@pytest.fixture(scope="module")
def metadata():
    manifest = {"seed": 5, "layers": LAYERS, "metadata": {"author": 'ö"\n'}}
    plan = make_plan(_manifest.read(manifest), only=["*"])
    return _provenance.Provenance(plan).metadata(["a" * 64, "b" * 64])


def test_checksum_is_what_the_format_says(metadata):
    text = metadata["initgen"]
    assert text.startswith('{"checksum":"')
    found = text[13:77]
    blank = {**metadata, "initgen": text[:13] + 64 * "0" + text[77:]}
    data = json.dumps(blank, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    hasher = blake3(data, derive_key_context="initgen 1 metadata checksum")
    assert found == hasher.hexdigest() == _provenance.checksum(metadata)


@given(st.data())
def test_the_checksum_covers_everything(metadata, data):
    """Any other character in any of the texts, but for the checksum's own place."""
    key = data.draw(st.sampled_from(sorted(metadata)))
    text = metadata[key]
    index = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda each: each != text[index]))
    changed = {**metadata, key: text[:index] + other + text[index + 1 :]}
    same = _provenance.checksum(changed) == _provenance.checksum(metadata)
    blanked = key == "initgen" and 13 <= index < 77 and other in "0123456789abcdef"
    assert same == blanked
    added = {**metadata, "more": other}
    assert _provenance.checksum(added) != _provenance.checksum(metadata)


def test_a_manifest_of_other_tensors_is_not_used(tmp_path, metadata):
    path = tmp_path / "m.safetensors"
    FORMATS["safetensors"].create(path, [], metadata)
    with pytest.raises(initlib.RequestError) as error:
        initlib.open(path)
    assert str(error.value) == f"{path}: its own manifest lists other tensors than there are"


def test_places_are_as_long_as_what_goes_there():
    plan = make_plan(_manifest.read({"layers": LAYERS}))
    provenance = _provenance.Provenance(plan)
    places, known = provenance.metadata(), provenance.metadata(["a" * 64, "b" * 64])
    assert places.keys() == known.keys()
    assert [len(text) for text in places.values()] == [len(text) for text in known.values()]


def test_it_is_read_back(metadata):
    record = _provenance.read_record(metadata)
    assert record is not None
    assert (record.seed, record.stream, record.only) == (5, 1, ["*"])
    assert record.digests == {"ü/w": "a" * 64, 'quo"te': "b" * 64}
    assert record.initializer('quo"te')["tolerance"] == 1e-6
    assert record.checksum == _provenance.checksum(metadata)
    assert _provenance.manifest_sha256(record.manifest) == record.manifest_sha256
    assert _provenance.read_record({"format": "pt"}) is None


@pytest.mark.parametrize("number", [-1, 2, 10**30])
def test_an_index_of_no_initializer(metadata, number):
    changed = json.loads(metadata["initgen"])
    changed["tensors"]["ü/w"][0] = number
    record = _provenance.read_record({"initgen": json.dumps(changed)})
    assert record is not None
    assert record.initializer("ü/w") == {}


def test_a_stream_of_another_version(metadata):
    changed = {**json.loads(metadata["initgen"]), "stream": 12345 * 10**30}
    with pytest.raises(ValueError, match="stream") as error:
        _provenance.read_record({"initgen": json.dumps(changed)})
    seen = "its values are of stream version 12345000000000000000; this initgen makes 1"
    assert str(error.value) == seen
