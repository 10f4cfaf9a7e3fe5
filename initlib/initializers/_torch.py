"""Initializers under torch.nn.init's names, with its arguments and its laws.

They differ from Keras's of the same origin: their normals aren't cut, and a gain takes the place of
a scale.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from initlib._arguments import as_number
from initlib._errors import RequestError
from initlib.initializers._scaling import MODES, VarianceScaling, choice

_GAINS = {
    **dict.fromkeys(("linear", "conv1d", "conv2d", "conv3d", "sigmoid"), 1.0),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), 1.0),
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return by how much weights before a nonlinearity are to be larger, as torch's function does.

    Args:
        nonlinearity: linear, conv1d, conv2d, conv3d, conv_transpose1d to 3d, sigmoid, tanh, relu,
            leaky_relu or selu.
        param: of leaky_relu its negative slope, by default 0.01; for others it says nothing.

    Raises:
        RequestError: there is no such nonlinearity, or the slope is no number.
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2) / math.hypot(1, as_number("param", 0.01 if param is None else param))
    return _GAINS[choice("nonlinearity", nonlinearity, (*_GAINS, "leaky_relu"))]


def _scale(name: str, value: float, gain: float) -> float:
    """Return the square of a gain. RequestError, with what it comes from, if it is none."""
    scale = gain * gain
    if not (gain > 0 and 0 < scale < math.inf):
        raise RequestError(f"expected a gain above 0 from {name}, received {value}")
    return scale


class _Kaiming(VarianceScaling):
    """Base of the two for layers before a rectifier.

    Args:
        a: the negative slope of the leaky_relu that follows; for others it says nothing.
        mode: "fan_in" keeps the variance on the way forward, "fan_out" that of gradients.
        nonlinearity: what follows, see `calculate_gain`.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """

    law_of: Literal["untruncated_normal", "uniform"]

    def __init__(
        self,
        a: float = 0.0,
        mode: str = "fan_in",
        nonlinearity: str = "leaky_relu",
        seed: Any = None,
    ) -> None:
        self.a, self.nonlinearity = as_number("a", a), nonlinearity
        gain = calculate_gain(nonlinearity, self.a)
        super().__init__(_scale("a", a, gain), choice("mode", mode, MODES[:2]), self.law_of, seed)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as what JSON can hold."""
        seed = super().get_config()["seed"]
        return {"a": self.a, "mode": self.mode, "nonlinearity": self.nonlinearity, "seed": seed}


class KaimingNormal(_Kaiming):
    """Normal for layers before a rectifier, as torch draws it: HeNormal's is cut at two stddev.

    Formula: stddev = gain / sqrt(n), where n is fan_in or fan_out

    Source: He et al., "Delving deep into rectifiers", ICCV 2015; ``torch.nn.init``.
    """

    law_of = "untruncated_normal"


class KaimingUniform(_Kaiming):
    """Uniform for layers before a rectifier, as torch draws it; Linear's own with a=sqrt(5).

    Formula: W ~ U[-limit, limit), limit = gain * sqrt(3 / n), where n is fan_in or fan_out

    Source: He et al., "Delving deep into rectifiers", ICCV 2015; ``torch.nn.init``.
    """

    law_of = "uniform"


class _Xavier(VarianceScaling):
    """Base of the two for layers whose inputs and outputs keep their variance.

    Args:
        gain: positive number.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """

    law_of: Literal["untruncated_normal", "uniform"]

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        self.gain = as_number("gain", gain)
        super().__init__(_scale("gain", gain, self.gain), "fan_avg", self.law_of, seed)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as what JSON can hold."""
        return {"gain": self.gain, "seed": super().get_config()["seed"]}


class XavierNormal(_Xavier):
    """Normal for layers whose inputs and outputs keep their variance, as torch draws it.

    Formula: stddev = gain * sqrt(2 / (fan_in + fan_out))

    Source: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010; ``torch.nn.init``. GlorotNormal's is cut at two stddev.
    """

    law_of = "untruncated_normal"


class XavierUniform(_Xavier):
    """Uniform for layers whose inputs and outputs keep their variance; GlorotUniform with a gain.

    Formula: W ~ U[-limit, limit), limit = gain * sqrt(6 / (fan_in + fan_out))

    Source: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010; ``torch.nn.init``.
    """

    law_of = "uniform"
