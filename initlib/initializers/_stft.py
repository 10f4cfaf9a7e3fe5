"""Kernels of the short-time Fourier transform."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from initlib._dtypes import dtype_name, is_float
from initlib._errors import RequestError
from initlib.initializers._base import Array, Target, pieces
from initlib.initializers._configs import decode
from initlib.initializers._constants import Unseeded
from initlib.initializers._rounding import as_numbers, round_once

SIDES = ("real", "imag")
SCALINGS = ("density", "spectrum")


class STFT(Unseeded):
    """Real or imaginary part of the short-time Fourier transform, as a convolution's kernel.

    The shape is (T, 1, K), or (K, 1, T) in torch's layout: T samples a frame, K = F / 2 + 1
    frequencies of an F-point transform. Computed in float64 with angles reduced exactly, then
    rounded. Other machines' last bits may differ.

    Formula: W[t, 0, k] = window[t] / s cos(2 pi t k / F) or -sin; s = sqrt(sum window^2) or
    sum |window|

    Args:
        side: "real" or "imag".
        window: name of one of SciPy's windows that needs no parameter, T numbers, or None.
        scaling: "density" (s is the window's L2 norm), "spectrum" (its L1 norm) or None (1).
        periodic: whether the window named is periodic rather than symmetric.

    Raises:
        RequestError: an argument is wrong.
    """

    tolerance = 1e-6

    def __init__(
        self,
        side: str = "real",
        window: Any = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ) -> None:
        if side not in SIDES:
            raise RequestError(f"expected the side to be 'real' or 'imag', received {side!r}")
        if scaling is not None and scaling not in SCALINGS:
            raise RequestError(
                f"expected the scaling to be None, 'density' or 'spectrum', received {scaling!r}"
            )
        if isinstance(window, str):
            _named_window(window, 1, bool(periodic))
        elif window is not None:
            window = as_numbers(decode(window)).tolist()
        self.side, self.window = side, window
        self.scaling, self.periodic = scaling, bool(periodic)

    def check(self, target: Target) -> None:
        """Raise RequestError if shape, dtype and window don't fit together."""
        shape = target.shape
        samples, bins = _sizes(target) if len(shape) == 3 else (0, 0)
        if samples < 1 or bins < 2 or shape[1] != 1:
            expected = "(K, 1, T)" if target.layout == "torch" else "(T, 1, K)"
            raise RequestError(
                f"STFT fills shapes {expected} with T >= 1 and K >= 2, received {shape}"
            )
        if not is_float(target.dtype):
            raise RequestError(
                f"STFT needs a floating-point dtype, received {dtype_name(target.dtype)}"
            )
        if not np.all(np.isfinite(self._factors(samples))):
            raise RequestError("expected finite window values whose sum isn't 0")

    def fill(self, out: Array, start: int, target: Target) -> None:
        """Write elements start .. start + out.size of the target into `out`."""
        samples, bins = _sizes(target)
        factors, points = self._factors(samples), 2 * (bins - 1)
        angles = np.arange(points) * (2 * np.pi / points)
        waves = np.cos(angles) if self.side == "real" else -np.sin(angles)
        for piece, index in pieces(out, start):
            if target.layout == "torch":
                k, t = np.divmod(index, samples)
            else:
                t, k = np.divmod(index, bins)
            piece[:] = round_once(waves[t * k % points] * factors[t], target.dtype)

    def _factors(self, samples: int) -> Array:
        """Return the scaled window, shape (samples,)."""
        if self.window is None:
            return np.ones(samples)
        if isinstance(self.window, str):
            window = _named_window(self.window, samples, self.periodic)
        else:
            window = np.array(self.window, np.float64)
        if window.shape != (samples,):
            raise RequestError(f"expected {samples} window values, received shape {window.shape}")
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.scaling == "density":
                window = window / np.sqrt(np.sum(window * window))
            if self.scaling == "spectrum":
                window = window / np.sum(np.abs(window))
        return window

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; an array as the list that Keras can read, too."""
        return {
            "side": self.side,
            "window": self.window,
            "periodic": self.periodic,
            "scaling": self.scaling,
        }


def _sizes(target: Target) -> tuple[int, int]:
    """Return samples a frame and frequencies."""
    first, _, last = target.shape
    return (last, first) if target.layout == "torch" else (first, last)


@lru_cache(maxsize=16)
def _named_window(name: str, samples: int, periodic: bool) -> Array:
    from scipy.signal import get_window

    try:
        window: Array = get_window(name, samples, periodic)
    except ValueError as error:
        raise RequestError(f"expected the name of a window without parameters: {error}") from None
    window.flags.writeable = False
    return window
