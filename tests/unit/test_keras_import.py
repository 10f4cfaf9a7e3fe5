"""How Keras is imported: with which backend, and what is left of it. The one here is made up."""

import os
import sys

import pytest

from initlib._sources._keras_import import KerasMissingError, import_keras

# It does on import what Keras does: it writes settings if there are none.
MODULE = """\
import os, pathlib
backend = os.environ["KERAS_BACKEND"]
logs = os.environ["TF_CPP_MIN_LOG_LEVEL"]
settings = pathlib.Path(os.environ["KERAS_HOME"]) / "keras.json"
settings.parent.mkdir(exist_ok=True)
if not settings.exists():
    settings.write_text('{"backend": "tensorflow"}')
"""
PACKAGES = ("keras", "jax", "torch", "tensorflow")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install made-up packages, and no others of these names."""
    for name in PACKAGES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)

    def install(*names):
        for name in PACKAGES:
            if name in names:
                (tmp_path / f"{name}.py").write_text(MODULE if name == "keras" else "")
            else:
                monkeypatch.setitem(sys.modules, name, None)
        return tmp_path / "home"

    yield install
    for name in PACKAGES:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("there", "wanted", "configured", "taken"),
    [
        (["jax", "torch"], None, None, "jax"),
        (["torch"], None, None, "torch"),
        (["torch", "tensorflow"], None, None, "tensorflow"),
        (["jax", "torch"], None, "torch", "torch"),
        (["jax", "torch"], "torch", "jax", "torch"),
        (["jax"], "numpy", None, "numpy"),
        (["jax"], None, "nonsense", "jax"),
    ],
)
def test_the_backend_is_the_users_if_it_is_there(
    installed, monkeypatch, there, wanted, configured, taken
):
    home = installed("keras", *there)
    if wanted:
        monkeypatch.setenv("KERAS_BACKEND", wanted)
    if configured:
        home.mkdir()
        (home / "keras.json").write_text(f'{{"backend": "{configured}"}}')
    before = dict(os.environ)
    found = import_keras()
    assert (found.backend, found.logs) == (taken, "3")
    assert dict(os.environ) == before
    assert home.exists() is bool(configured)
    assert import_keras() is found


def test_settings_that_are_no_settings(installed):
    home = installed("keras", "jax")
    home.mkdir()
    (home / "keras.json").write_text("[")
    assert import_keras().backend == "jax"
    assert (home / "keras.json").read_text() == "["


@pytest.mark.parametrize(
    ("there", "wanted", "message"),
    [
        (["jax"], None, "this needs keras, which isn't installed: pip install 'initgen[keras]'"),
        (["keras"], None, "Keras needs tensorflow, which isn't installed; pip install jax"),
        (["keras", "jax"], "torch", "Keras needs torch, which isn't installed; pip install jax"),
        (["keras", "jax"], "toast", "Keras needs toast, which isn't installed; pip install jax"),
    ],
)
def test_what_is_missing_is_said(installed, monkeypatch, there, wanted, message):
    installed(*there)
    if wanted:
        monkeypatch.setenv("KERAS_BACKEND", wanted)
    with pytest.raises(KerasMissingError) as caught:
        import_keras()
    assert str(caught.value) == message


def test_an_import_that_fails(installed, tmp_path):
    installed("keras", "jax")
    (tmp_path / "keras.py").write_text("import nothing_of_this_name")
    with pytest.raises(KerasMissingError, match=r"can't be imported: No module named 'nothing_of"):
        import_keras()
