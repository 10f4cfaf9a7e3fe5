"""What current models use that is one of the other initializers, with the field's own arguments.

Each is a function that works out a spread and returns the initializer which draws with it.
"""

from __future__ import annotations

import math
from typing import Any

from initlib.initializers._constants import Zeros
from initlib.initializers._random import RandomNormal
from initlib.initializers._scaling import positive
from initlib.initializers._torch import KaimingUniform


def scaled_normal(sigma: float, num_layers: float, seed: Any = None) -> RandomNormal:
    """Normal for what ends a branch of a block, so that the sum of all branches keeps its size.

    Formula: W ~ N(0, stddev^2), stddev = sigma / sqrt(2 num_layers)

    Source: Radford et al., "Language models are unsupervised multitask learners" (GPT-2), 2019;
    Megatron-LM's ``scaled_init_method_normal``; GPT-NeoX's ``scaled_normal``.

    Args:
        sigma: standard deviation of the other weights; 0.02 in GPT-2.
        num_layers: how many blocks there are, of two branches each.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """
    return _normal(
        positive("sigma", sigma) / math.sqrt(2 * positive("num_layers", num_layers)), seed
    )


def small_init(dim: float, seed: Any = None) -> RandomNormal:
    """Normal as if every weight were of the feed-forward layer's shape, which is the smallest.

    Formula: W ~ N(0, stddev^2), stddev = sqrt(2 / (5 dim))

    Source: Nguyen & Salazar, "Transformers without tears", IWSLT 2019; GPT-NeoX's ``small_init``.

    Args:
        dim: the model's width.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """
    return _normal(math.sqrt(2 / (5 * positive("dim", dim))), seed)


def wang_init(n_layers: float, dim: float, seed: Any = None) -> RandomNormal:
    """Normal for what ends a branch of a block, beside small_init for the others.

    Formula: W ~ N(0, stddev^2), stddev = 2 / (n_layers sqrt(dim))

    Source: Wang & Komatsuzaki, GPT-J-6B, 2021; GPT-NeoX's ``wang_init``.

    Args:
        n_layers: how many blocks there are.
        dim: the model's width.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """
    return _normal(2 / positive("n_layers", n_layers) / math.sqrt(positive("dim", dim)), seed)


def mup_input(std: float, seed: Any = None) -> RandomNormal:
    """Normal for embeddings and biases in muP: the same at every width.

    Formula: W ~ N(0, std^2)

    Source: Yang et al., "Tensor programs V", 2022, tables 3 and 8; ``mup.init.normal_``. With
    table 8's multiplier in the forward pass, as in ``mup.MuReadout``, so is the output layer.

    Args:
        std: standard deviation at the base width.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """
    return _normal(positive("std", std), seed)


def mup_hidden(std: float, width_mult: float, seed: Any = None) -> RandomNormal:
    """Normal for weights from width to width in muP.

    Formula: W ~ N(0, stddev^2), stddev = std / sqrt(width_mult)

    Source: Yang et al., "Tensor programs V", 2022, tables 3 and 8; ``mup.init.normal_``.

    Args:
        std: standard deviation at the base width.
        width_mult: how many times the base width the width is.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """
    return _normal(positive("std", std) / math.sqrt(positive("width_mult", width_mult)), seed)


def mup_output(std: float, width_mult: float, seed: Any = None) -> RandomNormal:
    """Normal for the output layer in muP, where the forward pass has no multiplier for it.

    Formula: W ~ N(0, stddev^2), stddev = std / width_mult

    Source: Yang et al., "Tensor programs V", 2022, table 3.

    Args:
        std: standard deviation at the base width.
        width_mult: how many times the base width the width is.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """
    return _normal(positive("std", std) / positive("width_mult", width_mult), seed)


def lora_a(seed: Any = None) -> KaimingUniform:
    """Uniform for a LoRA adapter's A, whose shape is (r, in) in layout torch.

    Formula: W ~ U[-limit, limit), limit = 1 / sqrt(in)

    Source: Hu et al., "LoRA", ICLR 2022; peft's default, ``kaiming_uniform_(a=sqrt(5))``.

    Args:
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """
    return KaimingUniform(math.sqrt(5), seed=seed)


def lora_a_gaussian(r: float, seed: Any = None) -> RandomNormal:
    """Normal for a LoRA adapter's A.

    Formula: W ~ N(0, stddev^2), stddev = 1 / r

    Source: peft's ``init_lora_weights="gaussian"``.

    Args:
        r: rank of the adapter.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """
    return _normal(1 / positive("r", r), seed)


def lora_b() -> Zeros:
    """Zeros for a LoRA adapter's B, which so begins as if it weren't there.

    Formula: W = 0

    Source: Hu et al., "LoRA", ICLR 2022; peft.
    """
    return Zeros()


def _normal(stddev: float, seed: Any) -> RandomNormal:
    return RandomNormal(0.0, stddev, seed)
