"""HDF5's types of elements: how ours are stored, and what other people's are."""

from __future__ import annotations

from typing import Any

import numpy as np

from initlib._dtypes import DTYPES, dtype_name
from initlib._formats._entry import shorten

# HDF5 has no such types. Keras stores bfloat16 as opaque bytes, and a text attribute with this
# name says what they are (H5IOStore in keras/src/saving/saving_lib.py); float8 here likewise.
OPAQUE = tuple(DTYPES[name] for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"))
ATTRIBUTE = b"dtype"


def stored_type(dtype: np.dtype[Any]) -> Any:
    """Return the HDF5 type of a dtype's values in our files."""
    from h5py import h5t

    if dtype in OPAQUE:
        return h5t.create(h5t.OPAQUE, dtype.itemsize)
    return h5t.py_create(dtype.newbyteorder("<"), logical=True)


def read_type(dataset: Any) -> tuple[np.dtype[Any], bool] | str:
    """Return the dtype of a dataset's values, and whether they are stored as in our files.

    Returns:
        Both; or what the values are, if no dtype of initlib can hold them.
    """
    from h5py import h5t

    stored = dataset.get_type()
    if stored.get_class() == h5t.OPAQUE:
        return _read_opaque(dataset, stored)
    words = {
        h5t.STRING: "strings",
        h5t.COMPOUND: "compound values",
        h5t.REFERENCE: "references",
        h5t.VLEN: "lists of various lengths",
        h5t.ARRAY: "arrays as elements",
        h5t.TIME: "times",
    }
    try:
        dtype = stored.dtype.newbyteorder("=")
    except (TypeError, ValueError):
        return words.get(stored.get_class(), "a type that NumPy lacks")
    if dtype not in DTYPES.values():
        # Complex numbers are compound values too, but have a dtype.
        fallback = words.get(stored.get_class(), f"dtype {dtype}")
        return f"dtype {dtype}" if dtype.kind == "c" else fallback
    if stored.get_class() == h5t.ENUM and dtype != np.bool_:
        return "an enumeration"
    return DTYPES[dtype_name(dtype)], bool(stored == stored_type(dtype))


def _read_opaque(dataset: Any, stored: Any) -> tuple[np.dtype[Any], bool] | str:
    """Return what opaque values are, by the attribute that should say it."""
    from h5py import h5a

    label = np.empty((), dtype=object)
    if h5a.exists(dataset, ATTRIBUTE):
        attribute = h5a.open(dataset, ATTRIBUTE)
        if attribute.shape != () or attribute.dtype != object:
            return "opaque values"
        attribute.read(label)
    for dtype in OPAQUE:
        if (label.item(), stored.get_size()) == (dtype_name(dtype).encode(), dtype.itemsize):
            return dtype, True
    called = f" called {shorten(label.item().decode(errors='replace'))}" if label.item() else ""
    return f"opaque values of {stored.get_size()} bytes{called}"
