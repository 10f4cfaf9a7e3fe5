"""Whatever tensors a format accepts, the real libraries and ours find them in its files."""

import tempfile
from pathlib import Path

import h5py
import numpy as np
import safetensors
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load

from initlib._dtypes import DTYPES, dtype_name
from initlib._errors import RequestError
from initlib._formats import FORMATS, Entry

CODES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "BOOL": "bool",
}
UNICODE = st.characters(exclude_categories=["Cs"])
# Short names of few characters, so that some repeat, are paths, or are in one another's way.
NAMES = st.one_of(st.text(UNICODE, max_size=12), st.text("ab/._é\0", max_size=5))
METADATA = st.dictionaries(st.text(UNICODE, max_size=9), st.text(UNICODE, max_size=99), max_size=5)
ENTRIES = st.lists(
    st.builds(
        Entry,
        NAMES,
        st.sampled_from(list(DTYPES.values())),
        st.lists(st.integers(0, 9), max_size=4).map(tuple),
    ),
    max_size=9,
    unique_by=lambda entry: entry.name,
)


def written(path, file_format, entries, metadata, seed):
    """Write random bytes (0 and 1 where a bool is); return them by name."""
    rng = np.random.default_rng(seed)
    values = {e.name: rng.integers(0, 2, e.nbytes, dtype=np.uint8).tobytes() for e in entries}
    for entry in entries:
        if entry.dtype != np.bool_:
            values[entry.name] = rng.bytes(entry.nbytes)
    offsets = file_format.create(path, entries, metadata)
    with path.open("r+b") as file:
        for entry, offset in zip(entries, offsets, strict=True):
            file.seek(offset)
            file.write(values[entry.name])
    return values


def found_by_us(path, file_format, metadata):
    contents, data = file_format.read(path), path.read_bytes()
    assert contents.metadata == metadata
    return {
        e.name: (dtype_name(e.dtype), e.shape, data[offset : offset + e.nbytes])
        for e, offset in zip(contents.entries, contents.offsets, strict=True)
    }


def expected(entries, values):
    return {e.name: (dtype_name(e.dtype), e.shape, values[e.name]) for e in entries}


@settings(max_examples=100, derandomize=True)
@given(ENTRIES, METADATA, st.integers(0, 2**32))
def test_safetensors(entries, metadata, seed):
    assume(all(entry.name != "__metadata__" for entry in entries))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.safetensors")
        values = written(path, FORMATS["safetensors"], entries, metadata, seed)
        wanted = expected(entries, values)
        assert found_by_us(path, FORMATS["safetensors"], metadata) == wanted
        data = path.read_bytes()
        with safetensors.safe_open(path, "numpy") as file:
            assert file.metadata() == metadata
        again = Path(folder, "again.safetensors")
        written(again, FORMATS["safetensors"], entries, metadata, seed)
        assert again.read_bytes() == data
    assert {
        name: (CODES[tensor["dtype"]], tuple(tensor["shape"]), bytes(tensor["data"]))
        for name, tensor in safetensors.deserialize(data)
    } == wanted
    if not {"bfloat16", "float8_e4m3fn", "float8_e5m2"} & {kind for kind, _, _ in wanted.values()}:
        assert {n: (t.dtype.name, t.shape, t.tobytes()) for n, t in load(data).items()} == wanted


@settings(max_examples=100, derandomize=True)
@given(ENTRIES, METADATA, st.integers(0, 2**32))
def test_hdf5(entries, metadata, seed):
    try:
        FORMATS["hdf5"].check(entries, metadata)
    except RequestError:
        assume(False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.h5")
        values = written(path, FORMATS["hdf5"], entries, metadata, seed)
        wanted = expected(entries, values)
        assert found_by_us(path, FORMATS["hdf5"], metadata) == wanted
        with h5py.File(path) as file:
            for name, (kind, shape, value) in wanted.items():
                dataset = file[name]
                assert dataset.attrs.get("dtype", dataset.dtype.name) == kind
                assert dataset.shape == shape
                assert dataset[()].tobytes() == value
        again = Path(folder, "again.h5")
        written(again, FORMATS["hdf5"], entries, metadata, seed)
        assert again.read_bytes() == path.read_bytes()


@settings(max_examples=200, derandomize=True)
@given(st.lists(st.text("ab/.", max_size=4), min_size=1, max_size=4, unique=True))
def test_hdf5_names_are_refused_only_if_they_would_be_lost(names):
    """h5py, given the same names, does not give them back: that is when we refuse them."""
    entries = [Entry(name, DTYPES["int8"], ()) for name in names]
    with tempfile.TemporaryDirectory() as folder:
        kept = set()
        with h5py.File(Path(folder, "m.h5"), "w") as file:
            try:
                for name in names:
                    file[name] = np.int8(1)
                file.visititems(lambda n, item: kept.add(n) if hasattr(item, "dtype") else None)
            except (OSError, ValueError, TypeError, RuntimeError):
                kept = None
    # What h5py keeps but other tools take for the folder above, we refuse as well.
    holds = kept == set(names) and not any(".." in name.split("/") for name in names)
    try:
        FORMATS["hdf5"].check(entries, {})
    except RequestError:
        assert not holds
    else:
        assert holds
