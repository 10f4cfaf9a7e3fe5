"""What all tests share: an initgen command to run, and a first manifest."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import Phase, settings

# A busy machine doesn't make a test fail.
settings.register_profile("untimed", parent=settings(), deadline=None)
settings.load_profile("untimed")
if "MUTANT_UNDER_TEST" in os.environ:
    # That a mutant is noticed is enough: the smallest example that does is no use.
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutants", parent=settings(), phases=phases)
    settings.load_profile("mutants")

# Users rarely set it, and with it no command finds out at its end that nothing can be printed.
os.environ.pop("PYTHONUNBUFFERED", None)

# Kernels are compiled once for all tests, and the user's own are left alone.
os.environ["INITGEN_CACHE_DIR"] = str(Path(__file__).parents[1] / "build" / "kernels")


def pytest_sessionstart():
    """Forget what another session has found out, off which this one was forked to test a mutant."""
    for name, module in [*sys.modules.items()]:
        if name.startswith("initlib."):
            for each in vars(module).values():
                if hasattr(each, "cache_clear"):
                    each.cache_clear()


# Fixtures that start other processes, which know of no mutant.
APART = {"another", "initgen", "processes", "server"}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Let the quickest tests of a mutant be the first: any of many notices most."""
    if "MUTANT_UNDER_TEST" in os.environ:
        apart = [item for item in items if not APART.isdisjoint(item.fixturenames)]
        config.hook.pytest_deselected(items=apart)
        items[:] = [item for item in items if item not in apart]
        seconds = Path("mutmut-stats.json")
        known = json.loads(seconds.read_bytes())["duration_by_test"] if seconds.exists() else {}
        items.sort(key=lambda item: known.get(item.nodeid, 0))


@pytest.fixture
def initgen(tmp_path):
    """Run the command in a new process in tmp_path; return its completed process."""

    def run(*arguments, stdin=None, env=None):
        return subprocess.run(
            [sys.executable, "-m", "initgen", *map(str, arguments)],
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": "80", **(env or {})},
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def mlp(tmp_path):
    """A small manifest's path."""
    path = tmp_path / "mlp.yaml"
    path.write_text(
        """\
seed: 42
dtype: float32
layers:
  - {name: dense/kernel, shape: [784, 256], initializer: glorot_uniform}
  - {name: dense/bias, shape: [256], initializer: zeros}
"""
    )
    return path
