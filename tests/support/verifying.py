"""The manifest of the files that `initlib.verify` is tried on."""

LAYERS = [
    {"name": "a/kernel", "shape": [30, 20], "initializer": "glorot_uniform"},
    {"name": "a/bias", "shape": [20], "initializer": "zeros", "dtype": "float16"},
    {"name": "b/kernel", "shape": [7, 7], "initializer": "orthogonal"},
    {"name": "b/window", "shape": [8, 1, 5], "initializer": "stft"},
    {"name": "scalar", "shape": [], "initializer": "constant(3)", "dtype": "int64"},
    {"name": "empty", "shape": [0, 4], "initializer": "ones"},
]
MANIFEST = {"seed": 3, "layers": LAYERS, "metadata": {"author": "me"}}
