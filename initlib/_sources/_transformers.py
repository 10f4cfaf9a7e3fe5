"""From a model of transformers', which is built on the meta device, to its manifest."""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.core_model_loading import revert_weight_conversion
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from initlib import _custom
from initlib._errors import RequestError, StorageError, did_you_mean
from initlib._sources._draft import Draft
from initlib._sources._modules import Tensors, drafted, on_meta, tensors_of
from initlib._sources._torch_observe import observed

_VERSION = f"transformers {transformers.__version__}"
# Of a config that names no class, the first of these which has one for it is taken.
_MAPPINGS = (
    "MODEL_FOR_PRETRAINING_MAPPING",
    "MODEL_FOR_CAUSAL_LM_MAPPING",
    "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING",
    "MODEL_FOR_MASKED_LM_MAPPING",
    "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING",
    "MODEL_MAPPING",
)


def of_transformers(source: str, *, state_dict: bool) -> Draft:
    """Return the manifest of ``hf:FOLDER`` or ``hf:TYPE``; see `manifest`."""
    name = source.removeprefix("hf:")
    with _quiet():
        config = _config(name)
        model_class = _model_class(config, name)
        with observed() as observer:
            with on_meta(f"{model_class.__name__} of {name}"):
                model = model_class._from_config(config)
                # On the meta device transformers leaves this out.
                model.initialize_weights()
                tensors = _tensors_in_memory(model) if state_dict else _tensors_in_files(model)
            title = f"{model_class.__name__} as {_VERSION} initialises it"
            return drafted(source, title, tensors, observer)


def _config(name: str) -> Any:
    """Return the config in a folder, or a type's default."""
    folder = Path(name)
    if not name or not folder.is_dir():
        if name not in CONFIG_MAPPING:
            hint = did_you_mean(name, CONFIG_MAPPING.keys())
            expected = "expected a folder with a config.json, or a model type of transformers'"
            raise RequestError(f"{expected}, received {name!r}{hint}")
        with _custom.guard(f"the default config of {name}"):
            return CONFIG_MAPPING[name]()
    path = folder / "config.json"
    if not path.is_file():
        raise RequestError(f"{name}: there is no config.json in it")
    try:
        data, _ = transformers.PretrainedConfig.get_config_dict(folder, local_files_only=True)
    except OSError as error:
        raise StorageError(f"{path}: {' '.join(str(error).split())}") from error
    kind = data.get("model_type")
    if kind not in CONFIG_MAPPING:
        hint = did_you_mean(str(kind), CONFIG_MAPPING.keys())
        raise RequestError(f"{path}: {_VERSION} knows no model_type {kind!r}{hint}")
    with _custom.guard(f"the config of {path}"):
        return CONFIG_MAPPING[kind].from_dict(_without_code(data))


def _without_code(value: Any) -> Any:
    """Return a config without the keys by which transformers fetches other people's code.

    An attention's implementation can be the name of a repository of kernels.
    """
    if isinstance(value, list):
        return [_without_code(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _without_code(item)
        for key, item in value.items()
        if key != "auto_map" and not re.search("implementation(_internal)?$", key)
    }


def _model_class(config: Any, name: str) -> Any:
    """Return the class that a config names, or else the first that is made for its type."""
    for architecture in getattr(config, "architectures", None) or ():
        found = getattr(transformers, str(architecture), None)
        if not isinstance(found, type) or not issubclass(found, transformers.PreTrainedModel):
            raise RequestError(f"{name}: {_VERSION} has no model class {architecture!r}")
        return found
    for mapping in _MAPPINGS:
        found = getattr(transformers, mapping).get(type(config), None)
        if found is not None:
            return found[0] if isinstance(found, list | tuple) else found
    module = type(config).__module__.replace(".configuration_", ".modeling_")
    with _custom.guard(f"importing {module}"):
        models = vars(importlib.import_module(module)).values()
    for found in models:
        concrete = isinstance(found, type) and not found.__name__.endswith("PreTrainedModel")
        if concrete and getattr(found, "config_class", None) is type(config):
            return found
    raise RequestError(f"{name}: {_VERSION} has no model class for a {type(config).__name__}")


def _tensors_in_memory(model: Any) -> Tensors:
    """Return what a model's `state_dict()` has."""
    return tensors_of(model.state_dict(keep_vars=True), model.all_tied_weights_keys)


def _tensors_in_files(model: Any) -> Tensors:
    """Return what `save_pretrained` would save."""
    state = model.state_dict(keep_vars=True)
    ignored = set(model._keys_to_ignore_on_save or ())
    kept = {name: value for name, value in state.items() if name not in ignored}
    found = tensors_of(kept, model.all_tied_weights_keys)
    # Some models have other tensors in memory than in files.
    saved: Mapping[str, torch.Tensor] = revert_weight_conversion(model, dict(found.tensors))
    return replace(found, tensors=saved)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' advice to itself."""
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity(transformers.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers.logging.set_verbosity(verbosity)
