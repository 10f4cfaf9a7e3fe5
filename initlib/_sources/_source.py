"""From something that exists to its manifest."""

from __future__ import annotations

import os

from initlib._checkpoint import INDEX_SUFFIX
from initlib._errors import RequestError
from initlib._extras import extra
from initlib._remote import path_of
from initlib._sources._draft import Draft
from initlib._sources._headers import of_checkpoint
from initlib._sources._keras import of_config


def manifest(
    source: str | os.PathLike[str], *, rules: str | None = None, state_dict: bool = False
) -> Draft:
    """Return the manifest of a checkpoint, from its headers alone, or of a model.

    A file that initgen wrote gives back its own. Of others, rules say what is initialised how, by
    the tensors' names. A model is built on torch's meta device, without memory for its weights, and
    what initialises each of them is observed. What differs in a number alone becomes a `repeat`.

    Args:
        source: a safetensors or HDF5 file, or a folder or an index of shards; a Keras model as a
            `.keras` archive, whose layers' configs name their initializers, or as a `.json` config;
            "hf:FOLDER" with a config.json, or "hf:TYPE" for a model type's default config;
            "torch:FILE.py:FACTORY" or "torch:PACKAGE.MODULE:FACTORY", which is run.
        rules: for checkpoints "gpt2", "keras", "llama", "torch", or a manifest whose rules, vars
            and layout are taken; a variable n_layers becomes the number of blocks. None is the
            source's own word or, where it has none, "keras" for HDF5 and "torch" for safetensors.
        state_dict: name the tensors of transformers' model as its ``state_dict()`` does, which is
            what `initlib.torch.materialize` fills; ``save_pretrained`` gives some models' tensors
            other names, and cuts up those of experts.

    Raises:
        RequestError: there is no such source, there are no such rules, a model can't be built, or
            the framework for it isn't installed.
        StorageError: the checkpoint or config can't be read.
    """
    name = os.fspath(source)
    if name.startswith(("hf:", "torch:")) and "://" not in name:
        return _of_code(name, rules, state_dict=state_dict)
    if state_dict:
        option = "--state-dict (in Python state_dict=True)"
        raise RequestError(f"{option} is for models of transformers', not for {name}")
    last = path_of(source).name
    if rules is None and last.endswith(".json") and not last.endswith(INDEX_SUFFIX):
        return of_config(source)
    return of_checkpoint(source, rules)


def _of_code(name: str, rules: str | None, *, state_dict: bool) -> Draft:
    """Return the manifest of what is built to see how it begins."""
    if rules is not None:
        raise RequestError(f"rules are for checkpoints; {name} says itself how it is initialised")
    kind = name.partition(":")[0]
    with extra(kind):
        if kind == "torch":
            from initlib._sources._modules import of_module

            # A module has no other names.
            return of_module(name)
        from initlib._sources._transformers import of_transformers

        return of_transformers(name, state_dict=state_dict)
