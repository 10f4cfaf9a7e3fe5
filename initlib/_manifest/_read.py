"""Reading manifests from files, standard input, streams and Python mappings."""

from __future__ import annotations

import json
import operator
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, TypeAlias

from initlib._dtypes import as_dtype, dtype_name
from initlib._errors import ManifestError, RequestError, StorageError, did_you_mean, reason
from initlib._garbage import no_collection
from initlib._limits import limit, raising
from initlib._manifest._expressions import Number, evaluate
from initlib._manifest._json import load_json
from initlib._manifest._lines import Lines, line_of
from initlib._manifest._manifest import Manifest
from initlib._manifest._model import Document
from initlib._manifest._validate import validate
from initlib._manifest._wording import show
from initlib._manifest._yaml import load_yaml
from initlib._remote import Address, Place, path_of
from initlib._stream import check_seed

Source: TypeAlias = "str | os.PathLike[str] | Mapping[str, Any] | IO[str] | IO[bytes]"


def read(source: Source, *, seed: int | None = None, dtype: Any = None) -> Manifest:
    """Return the manifest in a file, a stream or a mapping.

    Args:
        source: a YAML or (`.json`) JSON file, "-" for standard input, an open file, or a mapping.
        seed: takes the place of the manifest's; layers' own stay.
        dtype: takes the place of the manifest's, by its name or as NumPy's; layers' and rules' own
            stay.

    Raises:
        ManifestError: the manifest is wrong.
        RequestError: there is no such file, or the seed or dtype is wrong.
        StorageError: the file can't be read.
    """
    overrides: dict[str, Any] = {}
    if seed is not None:
        overrides["seed"] = check_seed(seed)
    if dtype is not None:
        overrides["dtype"] = dtype_name(as_dtype(dtype))
    with no_collection():
        name, folder, data, lines = _load(source)
        document = validate(data, name, lines)
    values = {key: getattr(document, key) for key in Document.model_fields} | overrides
    values |= {"rules": tuple(document.rules), "layers": tuple(document.layers)}
    values |= {"vars": _evaluate_vars(document, name, lines), "written": document.vars}
    return Manifest(**values, source=name, folder=folder, lines=lines)


def is_manifest(path: str | os.PathLike[str]) -> bool:
    """Tell a manifest from a checkpoint by its name."""
    name = path_of(path).name.lower()
    if name.endswith(".json"):
        return not name.endswith(".index.json")
    return name == "-" or name.endswith((".yaml", ".yml"))


def _load(source: Source) -> tuple[str, Place, Any, Lines | None]:
    """Return a source's name, folder, data and lines."""
    if isinstance(source, Mapping):
        return "<manifest>", _whole(Path()), _plain(source), None
    if isinstance(source, str | os.PathLike) and os.fspath(source) != "-":
        path = path_of(source)
        return str(path), _whole(path.parent), *_parse(_content(path), str(path), path.suffix)
    stream = sys.stdin if isinstance(source, str | os.PathLike) else source
    if not hasattr(stream, "read"):
        raise RequestError(f"expected a file, a stream or a mapping, received {source!r}")
    standard = stream is sys.stdin
    name = "<stdin>" if standard else "<manifest>"
    # Bytes, so that bad UTF-8 is found by us and not by the stream.
    content: str | bytes = getattr(stream, "buffer", stream).read(limit("MANIFEST") + 1)
    return name, _whole(Path()), *_parse(_bounded(content, name), name, "")


def _whole(folder: Place) -> Place:
    """Return a folder by its whole path: a manifest's own code may go elsewhere."""
    try:
        return folder.resolve()
    except OSError as error:
        raise StorageError(f"there is no current folder: {reason(error)}") from None


def _plain(source: Mapping[str, Any]) -> Any:
    """Return a copy of a mapping that holds JSON's types only."""
    try:
        return json.loads(json.dumps(source, default=_plain_value))
    except (ValueError, RecursionError):
        raise ManifestError("nested too deeply", source="<manifest>") from None
    except TypeError as error:
        raise ManifestError(f"expected plain data, {error}", source="<manifest>") from None


def _plain_value(value: Any) -> Any:
    """Return a mapping or an integer, such as NumPy's, as Python's own."""
    if isinstance(value, Mapping):
        return dict(value)
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"received {show(value)}") from None


def _content(path: Place) -> str | bytes:
    if isinstance(path, Address):
        if not path.is_file():
            near = did_you_mean(path.name, _neighbours(path))
            raise RequestError(f"there is no file {str(path)!r}{near}")
        return _bounded(path.read_bytes(limit("MANIFEST") + 1), str(path))
    try:
        with path.open("rb") as file:
            return _bounded(file.read(limit("MANIFEST") + 1), str(path))
    except FileNotFoundError:
        near = did_you_mean(path.name, _neighbours(path))
        raise RequestError(f"there is no file {str(path)!r}{near}") from None
    except IsADirectoryError:
        raise RequestError(f"expected a manifest file, received the folder {str(path)!r}") from None
    except OSError as error:
        raise StorageError(f"cannot read {str(path)!r}: {reason(error)}") from None


def _bounded(content: str | bytes, name: str) -> str | bytes:
    """Return a manifest's content, which a device could give without end."""
    if len(content) > limit("MANIFEST"):
        problem = f"the manifest is too large; {raising('MANIFEST')} bytes"
        raise ManifestError(problem, source=name)
    return content


def _neighbours(path: Place) -> list[str]:
    try:
        return [neighbour.name for neighbour in path.parent.iterdir()]
    except OSError:
        return []


def _parse(content: str | bytes, name: str, suffix: str) -> tuple[Any, Lines]:
    """Return the data and lines of a text in YAML, or in JSON if it's called so or looks so."""
    text = content if isinstance(content, str) else _decode(content, name)
    text = text.removeprefix("\ufeff")
    if suffix.lower() == ".json" or (not suffix and _is_json(text)):
        return load_json(text, name)
    return load_yaml(text, name)


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = f"expected UTF-8, received the byte 0x{content[error.start]:02x}"
        raise ManifestError(problem, source=name, line=line) from None


def _is_json(text: str) -> bool:
    """Tell whether text without a file name is JSON, rather than YAML that starts alike."""
    if not text.lstrip().startswith("{"):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _evaluate_vars(document: Document, name: str, lines: Lines | None) -> dict[str, Number]:
    variables: dict[str, Number] = {}
    for key, written in document.vars.items():
        try:
            variables[key] = evaluate(written, variables)
        except RequestError as error:
            line = line_of(lines, ("vars", key))
            raise ManifestError(str(error), source=name, path=f"vars.{key}", line=line) from None
    return variables
