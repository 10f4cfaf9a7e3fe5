"""When kernels are loaded and compiled."""

import sys

import pytest

from initlib._native import Kernel, Loader, _apart, _loader
from initlib._native._compile import compiled
from initlib._stream._engine import kernel

UNIFORM = kernel("uniform", "float32")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, and nothing loaded."""
    monkeypatch.setenv("INITGEN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    monkeypatch.setattr(_loader, "_loaded", {})
    return tmp_path / "cache"


def test_small_jobs_load_nothing_and_large_ones_compile(cache):
    loader = Loader(loading=10, compiling=100)
    loader.prepare(99)
    assert loader.get(UNIFORM) is None
    assert not cache.exists()
    loader.prepare(100)
    assert loader.get(UNIFORM) is not None
    assert len(list(cache.iterdir())) == 1
    loader.prepare(1)
    assert loader.get(UNIFORM) is not None


def test_what_is_there_is_loaded_for_smaller_jobs(monkeypatch):
    loader = Loader(loading=10, compiling=100)
    loader.prepare(100)
    loader.get(UNIFORM)
    _loader._loaded.clear()
    second = Loader(loading=10, compiling=100)
    second.prepare(9)
    assert second.get(UNIFORM) is None
    second.prepare(10)
    assert second.get(UNIFORM) is not None
    assert second.get(kernel("uniform", "float64")) is None


def test_each_kernel_has_a_symbol_of_its_own():
    kernels = [
        kernel(transform, dtype)
        for transform in ("normal", "truncated", "uniform")
        for dtype in ("float64", "float32", "bfloat16", "float16", "float8_e4m3fn", "float8_e5m2")
    ]
    assert len({each.symbol for each in kernels}) == 18


BAD = Kernel("native_kernels", "divides", ("int64*", "int64"))


def test_a_kernel_that_could_raise_is_refused():
    with pytest.raises(NotImplementedError, match=r"divides-int64p-int64 calls .*PyErr"):
        compiled(BAD)


def test_what_can_not_be_compiled_is_tried_once(monkeypatch):
    tried = []
    monkeypatch.setattr(_apart.subprocess, "run", lambda *a, **k: tried.append(a))
    loader = Loader(loading=0, compiling=0)
    with pytest.warns(RuntimeWarning, match="no compiled kernels, so it is slow: divides"):
        assert loader.get(BAD) is None
    assert loader.get(BAD) is None
    assert len(tried) == 1


def test_a_process_that_starts_no_other(monkeypatch):
    monkeypatch.setattr(_apart.subprocess, "run", lambda *a, **k: pytest.fail("started"))
    for change in (
        lambda patch: patch.setattr(sys, "frozen", True, raising=False),
        lambda patch: patch.setattr(sys, "executable", None),
        lambda patch: patch.setenv("INITGEN_COMPILING", "1"),
    ):
        with monkeypatch.context() as patch:
            change(patch)
            assert _apart.compiled_apart(UNIFORM)
