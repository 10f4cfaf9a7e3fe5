"""The files of a model's folder, by their names."""

from __future__ import annotations

import re

# What loaders look for: such files must not be there beside new ones.
WEIGHTS = re.compile(r"model(-\d{5,}-of-\d{5,})?\.safetensors|model\.safetensors\.index\.json")
# What of a model's folder goes with any weights: its config, its tokenizer, its processor.
COMPANIONS = re.compile(r".*(?<!\.index)\.(json|jinja|model|tiktoken|txt)")

MODEL = "model.safetensors"


def claimed_as(name: str) -> str:
    """Return the name by which the right to write a file is claimed: weights of a folder share one.

    So one run doesn't write a folder while another writes a file of the same name in it.
    """
    return MODEL if WEIGHTS.fullmatch(name) else name
