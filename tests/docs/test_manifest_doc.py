"""docs/manifest.md: its manifests load, its errors are ours, and it leaves out no key."""

import io
import re
from pathlib import Path

import fuzz_targets
import pytest
import yaml

from initlib import _limits, schema
from initlib._dtypes import DTYPES
from initlib._manifest import _expressions, _names, _validate, _yaml, read

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "manifest.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def names(block):
    return [tensor.name for tensor in read(io.StringIO(block)).tensors()]


def test_there_are_examples():
    assert len(BLOCKS) == 7
    assert PAGE.count("```") == 2 * (len(BLOCKS) + 1)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_examples_load(block):
    manifest = read(io.StringIO(block))
    tensors = list(manifest.tensors())
    assert tensors or manifest.metadata
    assert read(manifest.canonical()).canonical() == manifest.canonical()


def test_the_smallest_example():
    assert names(BLOCKS[0]) == ["dense/kernel", "dense/bias"]


def test_the_repeated_examples():
    assert names(BLOCKS[3])[:3] == ["wte.weight", "h.0.ln.weight", "h.0.attn.weight"]
    assert len(names(BLOCKS[3])) == 25
    nested = names(BLOCKS[4])
    assert len(nested) == 2 * (1 + 2 + 3 + 4)
    assert nested[:3] == ["stage1/block00/conv1", "stage1/block00/conv3", "stage2/block00/conv1"]


def test_the_rules_example():
    got = [
        (tensor.initializer.identifier, tensor.dtype)
        for tensor in read(io.StringIO(BLOCKS[5])).tensors()
    ]
    assert got == [
        ("ones", "float32"),
        ("truncated_normal", "bfloat16"),
        ("zeros", "bfloat16"),
        ("orthogonal", "bfloat16"),
    ]


def test_errors_are_ours():
    shown = re.search(r"^```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1].splitlines()
    table = yaml.safe_load((ROOT / "tests" / "unit" / "bad_manifests.yaml").read_text("utf-8"))
    assert len(shown) == 6
    assert set(shown) <= {case["error"] for case in table}


def test_every_key_is_described():
    document = schema()
    keys = {*document["properties"], *document["$defs"]["Layer"]["properties"]}
    keys |= {*document["$defs"]["Rule"]["properties"], *document["$defs"]["Repeat"]["properties"]}
    assert {key for key in keys if f"`{key}`" not in PAGE} == set()
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert set(rows[:8]) == set(document["properties"])
    assert set(rows[8:]) == set(document["$defs"]["Layer"]["properties"])


def test_every_name_is_described():
    assert {name for name in DTYPES if f"`{name}`" not in PAGE} == set()
    assert {name for name in _expressions.RESERVED if f"`{name}`" not in PAGE} == set()


def test_limits():
    limits = " ".join(PAGE.split("## Limits")[1].split())
    for limit in (_yaml.MAX_ALIASED, _expressions.MAX_LENGTH, _names.MAX_NAME):
        assert f"{limit:,} |" in limits
    for name, default in _limits.DEFAULTS.items():
        assert f"| {default:,} | `INITGEN_MAX_{name}` |" in limits
    for name, lower in fuzz_targets.LIMITS.items():
        assert f"`{name}={lower}`" in limits
    assert f"{_expressions.MAX_DEPTH} levels" in limits
    assert f"{_validate.MAX_DEPTH} levels" in limits
