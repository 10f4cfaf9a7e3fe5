"""From something that exists to its manifest."""

from __future__ import annotations

import os

from initlib._sources._draft import Draft
from initlib._sources._headers import of_checkpoint


def manifest(source: str | os.PathLike[str], *, rules: str | None = None) -> Draft:
    """Return the manifest of a checkpoint, from its headers alone.

    A file that initgen wrote gives back its own. Of others, rules say what is initialised how, by
    the tensors' names; what differs in a number alone becomes a `repeat`.

    Args:
        source: a safetensors or HDF5 file, a folder or an index of shards, or a `.keras`.
        rules: "gpt2", "keras", "llama", "torch", or a manifest whose rules, vars and layout are
            taken; a variable n_layers becomes the number of blocks. None is the file's own
            manifest or, where it has none, "keras" for HDF5 and "torch" for safetensors.

    Raises:
        RequestError: there is no such file, or there are no such rules.
        StorageError: the checkpoint can't be read.
    """
    return of_checkpoint(source, rules)
