"""The simulation behind docs/scale.md."""

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import initlib

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def scale():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location("scale", BENCHMARKS / "scale.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(BENCHMARKS))
    return module


def test_known_times(scale):
    # Alone, machines are as fast as they are; together, as the storage is.
    assert scale.seconds([10, 30], start=1, rate=10, storage=1e9) == 4
    assert scale.seconds([10, 10], start=1, rate=10, storage=10) == 3
    # First half the storage's speed each, then the longer one its own.
    assert scale.seconds([10, 30], start=0, rate=8, storage=10) == 2 + 20 / 8


@given(st.lists(st.floats(0, 100), min_size=1, max_size=20), st.floats(1, 10), st.floats(1, 50))
def test_no_faster_than_machines_and_storage(scale, loads, rate, storage):
    took = scale.seconds(loads, 0, rate, storage)
    least = max(max(loads) / rate, sum(loads) / storage)
    assert least * 0.999 <= took <= max(loads) / rate + sum(loads) / storage + 1e-6


def test_parts_are_those_that_generate_makes(scale, tmp_path):
    layers = [{"name": f"t{i}", "shape": [i % 7 + 1], "initializer": "ones"} for i in range(40)]
    done = initlib.generate({"layers": layers}, tmp_path / "m", max_shard_size=40, part="2/3")
    sizes = scale.shard_sizes({"layers": layers}, 40)
    assert scale.spread(sizes, 3)[1] == done.nbytes
