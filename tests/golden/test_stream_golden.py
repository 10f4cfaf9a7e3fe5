"""Stream version 1 is frozen: these bytes never change, whoever makes them."""

import pytest
from golden import LAWS, digest, rows, stream_values

from initlib._dtypes import FLOATS
from initlib._stream import _engine

ROWS = rows("stream-v1.txt")


def test_every_transform_and_dtype_is_frozen():
    assert {(row[0], row[3]) for row in ROWS} == {(t, d) for t in LAWS for d in FLOATS}
    assert len(ROWS) == 144


@pytest.mark.parametrize("engine", ["reference", "kernels"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_golden(monkeypatch, engine, dtype):
    monkeypatch.setattr(_engine._kernels, "job", 1 << 60 if engine == "kernels" else 0)
    for row in (row for row in ROWS if row[3] == dtype):
        values, transform = stream_values(row)
        assert transform == row[0]
        assert digest(values) == row[-1], row[:-1]
