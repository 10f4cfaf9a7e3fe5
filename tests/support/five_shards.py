"""A checkpoint of five shards, for tests of runs that make only some of them."""

from crashes import contents

import initlib
from initlib import _shards

LAYERS = [
    {"name": f"t/{i}", "shape": [1000 + i], "initializer": "random_normal"} for i in range(10)
]
MANIFEST = {"seed": 1, "layers": LAYERS}
# Two tensors each.
SIZE = 8100
NAMES = _shards.file_names(5)


class StopError(Exception):
    """What ends a run on its way."""


def made_at_once(folder):
    """The files of a run that makes all."""
    initlib.generate(MANIFEST, folder, max_shard_size=SIZE)
    return contents(folder)


def hidden_name(number):
    """The name of a shard that is whole, before it has its own."""
    return f".initgen-model.safetensors-{number}.tmp"
