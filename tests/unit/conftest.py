"""Files that several modules of tests look at."""

import pytest
from verifying import MANIFEST

import initlib


@pytest.fixture(params=["m.safetensors", "m.h5"])
def made(request, tmp_path):
    path = tmp_path / request.param
    initlib.generate(MANIFEST, path)
    return path
