"""Archives as Keras writes them, made without Keras."""

import io
import json
import zipfile
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np

# What Keras 3.15 wrote of a small model: the config, and shapes and dtypes of its variables.
SMALL = json.loads((Path(__file__).parents[1] / "unit" / "keras" / "small.json").read_text())


def write_archive(path, config, variables):
    """Write a model of this config with zeros for its variables, by names: shape and dtype."""
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        for name, (shape, dtype) in variables.items():
            bfloat16 = dtype == "bfloat16"
            array = np.zeros(shape, ml_dtypes.bfloat16 if bfloat16 else dtype)
            file.create_dataset(name, data=array)
            if bfloat16:
                file[name].attrs["dtype"] = "bfloat16"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        archive.writestr("model.weights.h5", weights.getvalue())
    return path


def layer(kind, module="keras.layers", **config):
    """Return the config of a layer."""
    return {"module": module, "class_name": kind, "config": config, "registered_name": None}


def model(*layers):
    """Return the config of a Sequential of these layers."""
    return layer("Sequential", "keras", name="net", layers=list(layers))


def dense(name="dense", **config):
    """Return the config of a Dense layer."""
    given = {"use_bias": True, "kernel_initializer": "glorot_uniform", "bias_initializer": "zeros"}
    return layer("Dense", name=name, **{**given, **config})


def kernels(*names, **others):
    """Return variables of layers with a kernel and a bias each."""
    found = {}
    for name in names:
        found[f"layers/{name}/vars/0"] = ((3, 4), "float32")
        found[f"layers/{name}/vars/1"] = ((4,), "float32")
    return found
