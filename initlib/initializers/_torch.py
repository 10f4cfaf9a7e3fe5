"""Initializers under torch.nn.init's names, with its arguments and its laws.

They differ from Keras's of the same origin: their normals aren't cut, or at any bounds, and a gain
takes the place of a scale.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from initlib._arguments import as_number
from initlib._errors import RequestError
from initlib._stream import Distribution, Truncated
from initlib.initializers._base import Target
from initlib.initializers._random import Drawn
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


class TruncNormal(Drawn):
    """Draws from a normal distribution of which what lies outside [a, b] is cut off.

    Formula: W ~ N(mean, std^2) given a <= W <= b

    Args:
        mean: mean of the values before the cut.
        std: their standard deviation, 0 or more.
        a: the least value, not counted in std; None or -inf for no bound.
        b: the largest value, likewise; None or inf for no bound.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong, or all of [a, b] is more than 1400 std from the mean.

    Source: ``torch.nn.init.trunc_normal_``. TruncatedNormal's bounds are two stddev from the mean.
    """

    def __init__(
        self,
        mean: float = 0.0,
        std: float = 1.0,
        a: float | None = -2.0,
        b: float | None = 2.0,
        seed: Any = None,
    ) -> None:
        super().__init__(seed)
        self.mean, self.std = as_number("mean", mean), as_number("std", std)
        self.a = -math.inf if a is None else as_number("a", a)
        self.b = math.inf if b is None else as_number("b", b)
        # Made once: its bounds are looked at in exact fractions.
        self._law = Truncated(self.mean, self.std, self.a, self.b)

    def law(self, target: Target) -> Distribution:
        """Return the distribution of the target's elements."""
        return self._law

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as what JSON can hold."""
        # JSON has no infinity.
        a, b = (bound if math.isfinite(bound) else None for bound in (self.a, self.b))
        return {"mean": self.mean, "std": self.std, "a": a, "b": b, **super().get_config()}
