"""What a file is: told by its first bytes, and by its name only for a hint."""

from __future__ import annotations

from initlib._errors import RequestError, StorageError, did_you_mean
from initlib._formats import FORMATS, Source
from initlib._remote import Place

HDF5 = b"\x89HDF\r\n\x1a\n"
INDEX_SUFFIX = ".safetensors.index.json"

# What begins so is none of ours.
_MAGIC = {
    b"GGUF": "a GGUF file",
    b"\x93NUMPY": "a NumPy array; save arrays with safetensors.numpy.save_file",
    b"\x80\x02": "a pickle, as of torch.save; save it with safetensors.torch.save_file",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"version https://git-lfs": "a pointer of Git LFS; `git lfs pull` gets the file itself",
    b"\x1f\x8b": "compressed by gzip; unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; unpack it first",
    b"<!DOCTYPE": "a web page; was there an error when it was downloaded?",
    b"<html": "a web page; was there an error when it was downloaded?",
}
# Others have no magic bytes, or none that are theirs alone.
_SUFFIXES = {
    ".onnx": "an ONNX model",
    ".pb": "a TensorFlow graph",
    ".index": "a part of a TensorFlow checkpoint; save the weights as .weights.h5",
    ".tflite": "a TensorFlow Lite model",
    ".msgpack": "a Flax checkpoint",
    ".yaml": "a manifest?",
    ".yml": "a manifest?",
    ".npz": "a file of NumPy arrays; save arrays with safetensors.numpy.save_file",
    **dict.fromkeys(
        (".pt", ".pth", ".bin", ".ckpt"),
        "a PyTorch checkpoint? Save it with safetensors.torch.save_file",
    ),
}


def open_source(path: Place) -> Source:
    """Open a file.

    Raises:
        RequestError: there is none of this name; the message has the nearest one beside it.
        StorageError: it cannot be read.
    """
    try:
        return Source.open(path)
    except StorageError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        if path.is_symlink():
            raise RequestError(f"{path}: a link to a file that does not exist") from error
        raise RequestError(f"{path}: there is no such file{_beside(path)}") from error


def _beside(path: Place) -> str:
    """Return the hint of the name nearest to one that does not exist."""
    try:
        names = [other.name for other in path.parent.iterdir()]
    except OSError:
        return ""
    return did_you_mean(path.name, names)


def recognise(source: Source) -> str:
    """Return what a file is: "safetensors", "hdf5", "keras" (a zip archive) or "index".

    Raises:
        StorageError: none of these.
    """
    head = source.bytes_at(0, min(source.size, 64))
    suffix = source.path.suffix.lower()
    if head.startswith(HDF5):
        return "hdf5"
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return "keras"
    # The length of the header, of which no reader takes 4 GiB, and its first byte.
    if head[4:8] == bytes(4) and head[8:9] in (b"{", b" ", b"\t", b"\n", b"\r"):
        return "safetensors"
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            raise _refused(source, what)
    if suffix == ".json":
        return "index"
    if _has_user_block(source):
        return "hdf5"
    for format_ in FORMATS.values():
        if suffix in format_.suffixes and source.size:
            return format_.name  # which says best what is wrong
    raise _refused(source, _SUFFIXES.get(suffix, ""))


def _has_user_block(source: Source) -> bool:
    """Tell whether HDF5 begins further on: after 512 bytes or a power of 2 times that."""
    place = 512
    while place + len(HDF5) <= source.size:
        if source.bytes_at(place, len(HDF5)) == HDF5:
            return True
        place *= 2
    return False


def _refused(source: Source, what: str) -> StorageError:
    what = what if source.size else "it is empty"
    return StorageError(
        f"{source.path}: not a checkpoint that initlib reads{what and f' ({what})'}; expected "
        f"safetensors, HDF5, a .keras archive, or a folder or {INDEX_SUFFIX} of shards"
    )
