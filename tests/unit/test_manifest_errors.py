"""Whatever is wrong with a manifest is told in one line: file, line, path, problem."""

import io
import json
import time
from pathlib import Path

import pytest
import yaml

from initlib._errors import ManifestError, RequestError, StorageError
from initlib._manifest import read

TABLE = yaml.safe_load((Path(__file__).parent / "bad_manifests.yaml").read_text(encoding="utf-8"))
LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{outer}: &{outer} [{', '.join(['*' + inner] * 10)}]\n"
    for inner, outer in zip("abcdefgh", "bcdefghi", strict=True)
)
LONG = "1+" * 600 + "1"
DEEP = "-" * 200 + "1"


def problem(source):
    with pytest.raises(ManifestError) as caught:
        list(read(source).tensors())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_table_is_there():
    assert len(TABLE) > 150
    assert len({case["what"] for case in TABLE}) == len(TABLE)


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case["what"])
def test_message(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(case["name"]).write_text(case["text"], encoding="utf-8")
    assert problem(case["name"]) == case["error"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "<manifest>:5: aliases stand for more than 100,000 values"),
        ("layers: " + "[" * 200 + "]" * 200, "<manifest>: nested more than 100 levels deep"),
        ("layers: " + "[" * 100_000, "<manifest>:1: not YAML: exceeded maximum nesting depth"),
        ("- " * 100_000 + "x", "<manifest>:1: not YAML: exceeded maximum nesting depth"),
        ("layers: []\nseed: " + "9" * 5000, "<manifest>:2: a number has too many digits"),
        (
            json.dumps({"layers": [], "vars": {"d": LONG}}),
            f"<manifest>:1: vars.d: cannot evaluate '{LONG[:37]}...{LONG[-38:]}':"
            " expected at most 1000 characters, received 1201",
        ),
        (
            json.dumps({"layers": [], "vars": {"d": DEEP}}),
            f"<manifest>:1: vars.d: cannot evaluate '{DEEP[:37]}...{DEEP[-38:]}':"
            f" '{DEEP[:37]}...{DEEP[-38:]}' is nested too deeply",
        ),
    ],
    ids=["laughs", "deep", "deeper", "deeper block", "digits", "long", "deep expression"],
)
def test_hostile_text_is_refused_at_once(text, message):
    begin = time.process_time()
    assert problem(io.StringIO(text)) == message
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"layers": ' + "[" * 150 + "]" * 150 + "}", "m.json: nested more than 100 levels deep"),
        ("[" * 100_000 + "]" * 100_000, "m.json: not JSON: nested too deeply"),
        ('{"seed": ' + "9" * 5000 + "}", "m.json: not JSON: a number has too many digits"),
    ],
    ids=["deep", "deeper", "digits"],
)
def test_hostile_json_is_refused(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("m.json").write_text(text)
    assert problem("m.json") == message


def test_expansion_is_bounded(monkeypatch):
    monkeypatch.setenv("INITGEN_MAX_TENSORS", "1000")
    layer = {"name": "w{i}.{j}", "shape": [], "initializer": "zeros"}
    nested = {"repeat": {"i": 900}, "layers": [{"repeat": {"j": 900}, "layers": []}]}
    with pytest.raises(
        ManifestError, match=r"layers\[1000\]: too many tensors; INITGEN_MAX_TENSORS"
    ):
        list(read({"layers": [{**layer, "name": f"w{n}"} for n in range(1001)]}).tensors())
    with pytest.raises(
        ManifestError, match=r"layers\[0\].layers\[0\].repeat: repeated too often in all"
    ):
        list(read({"layers": [nested]}).tensors())
    flat = {"repeat": {"i": 10, "j": 100}, "layers": [layer]}
    assert len(list(read({"layers": [flat]}).tensors())) == 1000
    straight = {"repeat": {"i": 1000}, "layers": [{**layer, "name": "w{i}"}]}
    assert len(list(read({"layers": [straight]}).tensors())) == 1000


ZEROS = {"shape": [], "initializer": "zeros"}


@pytest.mark.parametrize(
    ("most", "manifest", "where"),
    [
        # What the second or the sixth of equal things is too much for.
        (115, {"layers": [{"repeat": {"i": 9}, "layers": []}]}, "layers[0].repeat"),
        (100, {"layers": [{"name": c * 60, **ZEROS} for c in "ab"]}, "layers[1]"),
        (
            4050,
            {
                "layers": [
                    {
                        "repeat": {"i": 2},
                        "layers": [{"name": "{i}", "shape": [], "initializer": "constant(i)"}],
                    }
                ]
            },
            "layers[0].layers[0]",
        ),
        (
            250,
            {
                "rules": [{"match": "?" * 64, "initializer": "zeros"}],
                "layers": [{"name": c * 64, "shape": []} for c in "ab"],
            },
            "layers[1]",
        ),
    ],
    ids=["turns", "names", "initializers", "rules"],
)
def test_work_is_bounded(monkeypatch, most, manifest, where):
    monkeypatch.setenv("INITGEN_MAX_STEPS", str(most))
    with pytest.raises(ManifestError) as caught:
        list(read(manifest).tensors())
    hint = f"INITGEN_MAX_STEPS in the environment raises the limit of {most:,}"
    assert str(caught.value) == (f"<manifest>: {where}: too much is made of this manifest; {hint}")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"layers": [object]}, r"expected plain data, received <class 'object'>"),
        ({"layers": [{"shape": 1j}]}, r"expected plain data, received 1j"),
        ({"layers": 3}, r"layers: expected a list of layers, received 3"),
        ({}, r"missing key 'layers'"),
    ],
)
def test_mappings_have_no_lines(source, message):
    with pytest.raises(ManifestError) as caught:
        read(source)
    assert str(caught.value) == f"<manifest>: {message}"
    assert caught.value.line is None


@pytest.mark.parametrize("depth", [150, 100_000])
def test_deep_mapping(depth):
    deep = []
    for _ in range(depth):
        deep = [deep]
    with pytest.raises(ManifestError, match="nested"):
        read({"layers": deep})


def test_cyclic_mapping():
    layers = []
    layers.append(layers)
    with pytest.raises(ManifestError, match="nested too deeply"):
        read({"layers": layers})


def test_keys_cannot_break_the_line():
    data = {"layers": [], "metadata": {"a\nb": 1}}
    assert problem(data).startswith(r"<manifest>: metadata['a\nb']: expected text, received 1")
    data = {"layers": [], "metadata": {"": 1}}
    assert problem(data).startswith("<manifest>: metadata['']: expected text")


def test_error_carries_its_parts():
    with pytest.raises(ManifestError) as caught:
        read(io.StringIO("layers:\n  - name: w\n    shape: 3\n"))
    error = caught.value
    assert (error.source, error.line, error.path) == ("<manifest>", 3, "layers[0].shape")
    assert error.problem.startswith("expected a list of dimensions")
    assert isinstance(error, ValueError)


def test_bad_utf8_names_the_line(tmp_path):
    path = tmp_path / "m.yaml"
    path.write_bytes(b"seed: 1\n# \xff\nlayers: []\n")
    assert problem(path) == f"{path}:2: expected UTF-8, received the byte 0xff"


def test_utf16_is_not_utf8(tmp_path):
    path = tmp_path / "m.yaml"
    path.write_text("layers: []\n", encoding="utf-16")
    assert "expected UTF-8" in problem(path)


def test_missing_file_suggests_a_neighbour(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("manifest.yaml").touch()
    with pytest.raises(RequestError) as caught:
        read("manifset.yaml")
    assert str(caught.value) == "there is no file 'manifset.yaml'; did you mean 'manifest.yaml'?"
    with pytest.raises(RequestError, match=r"^there is no file 'nowhere/m\.yaml'$"):
        read("nowhere/m.yaml")


def test_folder_is_no_manifest(tmp_path):
    with pytest.raises(RequestError, match="expected a manifest file, received the folder"):
        read(tmp_path)


def test_unreadable_file(tmp_path):
    path = tmp_path / "file" / "m.yaml"
    path.parent.touch()
    with pytest.raises(StorageError, match=r"cannot read .*: Not a directory"):
        read(path)


@pytest.mark.parametrize("source", [3, None, ["layers"]])
def test_what_no_manifest_can_be_read_from(source):
    with pytest.raises(RequestError, match="expected a file, a stream or a mapping, received"):
        read(source)


def test_overrides_are_checked():
    with pytest.raises(RequestError, match=r"expected a seed from 0 to .*, received -1"):
        read({"layers": []}, seed=-1)
    with pytest.raises(RequestError, match="unknown dtype 'fp16'; did you mean 'float16'"):
        read({"layers": []}, dtype="fp16")


def test_what_has_no_lines_names_none():
    with pytest.raises(ManifestError) as caught:
        list(read({"layers": [{"name": "w", **ZEROS}] * 2}).tensors())
    assert str(caught.value) == (
        "<manifest>: layers[1].name: duplicate name 'w', first in layers[0]"
    )


def test_an_initializer_that_a_turn_makes_wrong():
    layer = {"name": "{i}", "shape": [], "initializer": "constant(1/i)"}
    with pytest.raises(ManifestError) as caught:
        list(read({"layers": [{"repeat": {"i": 2}, "layers": [layer]}]}).tensors())
    where = "<manifest>: layers[0].layers[0].initializer"
    assert str(caught.value) == f"{where}: in 'constant(1/i)': division by zero"
