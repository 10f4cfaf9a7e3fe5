"""Initializers whose spread follows from the shape: variance scaling and its named cases."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from initlib._arguments import as_axes, as_number
from initlib._errors import RequestError, did_you_mean
from initlib._stream import Distribution, Normal, TruncatedNormal, Uniform
from initlib.initializers._base import Target
from initlib.initializers._random import Drawn

MODES = ("fan_in", "fan_out", "fan_avg")
DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")
# Standard deviation of the standard normal truncated at two stddev:
# sqrt(1 - 4 pdf(2) / (cdf(2) - cdf(-2))), in Keras's digits.
TRUNCATED_STDDEV = 0.87962566103423978


def compute_fans(
    shape: Sequence[int],
    input_axes: Iterable[int] | None = None,
    output_axes: Iterable[int] | None = None,
    layout: str = "keras",
) -> tuple[int, int]:
    """Return the numbers of inputs and outputs of a weight, (fan_in, fan_out).

    Args:
        shape: the weight's shape.
        input_axes: axes whose sizes multiply to fan_in; counts only together with the next.
        output_axes: axes whose sizes multiply to fan_out.
        layout: "keras" for (...kernel, in, out), "torch" for (out, in, ...kernel).

    Raises:
        RequestError: the shape has no such axis.
    """
    shape = tuple(shape)
    if input_axes is not None and output_axes is not None:
        return _size(shape, "input_axes", input_axes), _size(shape, "output_axes", output_axes)
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    if layout == "torch":
        fan_out, fan_in, *kernel = shape
    else:
        *kernel, fan_in, fan_out = shape
    return fan_in * math.prod(kernel), fan_out * math.prod(kernel)


def _size(shape: tuple[int, ...], name: str, axes: Iterable[int]) -> int:
    try:
        return math.prod(shape[axis] for axis in axes)
    except IndexError:
        raise RequestError(f"expected {name} of the shape {shape}, received {axes}") from None


def positive(name: str, value: Any) -> float:
    """Return an argument that is a finite number above 0.

    Raises:
        RequestError: it isn't.
    """
    number = as_number(name, value)
    if not 0 < number < math.inf:
        raise RequestError(f"expected a positive {name}, received {value}")
    return number


def choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return an argument that is one of several texts.

    Raises:
        RequestError: it is none of them.
    """
    if not isinstance(value, str) or value not in choices:
        hint = did_you_mean(str(value), choices) or f"; expected one of {', '.join(choices)}"
        raise RequestError(f"unknown {name} {value!r}{hint}")
    return str(value)


def of_variance(distribution: str, variance: float) -> Distribution:
    """Return the one of `DISTRIBUTIONS` with mean 0 that has a variance."""
    if distribution == "truncated_normal":
        return TruncatedNormal(0.0, math.sqrt(variance) / TRUNCATED_STDDEV)
    if distribution == "untruncated_normal":
        return Normal(0.0, math.sqrt(variance))
    limit = math.sqrt(3.0 * variance)
    return Uniform(-limit, limit)


class VarianceScaling(Drawn):
    """Draws with a variance in inverse proportion to the weight's inputs, outputs or both.

    Formula: Var W = scale / n, where n is fan_in, fan_out or their mean

    Args:
        scale: positive number.
        mode: what n is: "fan_in", "fan_out" or "fan_avg".
        distribution: "truncated_normal" (at two stddev, with the variance after the cut; also
            called "normal"), "untruncated_normal" or "uniform".
        seed: integer, `SeedGenerator` or None.
        input_axes: axes of the shape that make fan_in, instead of the layout's.
        output_axes: axes that make fan_out; the two count only together.

    Raises:
        RequestError: an argument is wrong.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
        input_axes: Iterable[int] | None = None,
        output_axes: Iterable[int] | None = None,
    ) -> None:
        super().__init__(seed)
        self.scale = positive("scale", scale)
        self.mode = choice("mode", mode, MODES)
        lower = str(distribution).lower()
        lower = "truncated_normal" if lower == "normal" else lower
        self.distribution = choice("distribution", lower, DISTRIBUTIONS)
        self.input_axes = as_axes("input_axes", input_axes)
        self.output_axes = as_axes("output_axes", output_axes)

    def law(self, target: Target) -> Distribution:
        """Return the distribution of the target's elements."""
        fans = compute_fans(target.shape, self.input_axes, self.output_axes, target.layout)
        n = {"fan_in": fans[0], "fan_out": fans[1], "fan_avg": sum(fans) / 2}[self.mode]
        return of_variance(self.distribution, self.scale / max(1.0, n))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as what JSON can hold."""
        return {
            **super().get_config(),
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


class _Case(VarianceScaling):
    """A named case: its subclasses are nothing but the three arguments that they fix.

    Args:
        seed: integer, `SeedGenerator` or None.
        input_axes: axes of the shape that make fan_in, instead of the layout's.
        output_axes: axes that make fan_out; the two count only together.

    Raises:
        RequestError: an argument is wrong.
    """

    case: ClassVar[tuple[float, str, str]]

    def __init__(
        self,
        seed: Any = None,
        input_axes: Iterable[int] | None = None,
        output_axes: Iterable[int] | None = None,
    ) -> None:
        super().__init__(*self.case, seed, input_axes, output_axes)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as what JSON can hold."""
        config = super().get_config()
        return {name: config[name] for name in ("seed", "input_axes", "output_axes")}


class GlorotNormal(_Case):
    """Truncated normal for layers whose inputs and outputs keep their variance (Xavier).

    Formula: stddev = sqrt(2 / (fan_in + fan_out))

    Source: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010.
    """

    case = 1.0, "fan_avg", "truncated_normal"


class GlorotUniform(_Case):
    """Uniform for layers whose inputs and outputs keep their variance (Xavier).

    Formula: W ~ U[-limit, limit), limit = sqrt(6 / (fan_in + fan_out))

    Source: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010.
    """

    case = 1.0, "fan_avg", "uniform"


class HeNormal(_Case):
    """Truncated normal for layers followed by a rectifier (Kaiming).

    Formula: stddev = sqrt(2 / fan_in)

    Source: He et al., "Delving deep into rectifiers", ICCV 2015.
    """

    case = 2.0, "fan_in", "truncated_normal"


class HeUniform(_Case):
    """Uniform for layers followed by a rectifier (Kaiming).

    Formula: W ~ U[-limit, limit), limit = sqrt(6 / fan_in)

    Source: He et al., "Delving deep into rectifiers", ICCV 2015.
    """

    case = 2.0, "fan_in", "uniform"


class LecunNormal(_Case):
    """Truncated normal for inputs of variance 1, and for self-normalizing networks.

    Formula: stddev = sqrt(1 / fan_in)

    Source: LeCun et al., "Efficient BackProp", 1998; Klambauer et al., "Self-normalizing neural
    networks", NeurIPS 2017.
    """

    case = 1.0, "fan_in", "truncated_normal"


class LecunUniform(_Case):
    """Uniform for inputs of variance 1.

    Formula: W ~ U[-limit, limit), limit = sqrt(3 / fan_in)

    Source: LeCun et al., "Efficient BackProp", 1998.
    """

    case = 1.0, "fan_in", "uniform"
