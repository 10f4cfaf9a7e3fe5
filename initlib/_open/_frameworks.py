"""Arrays as the frameworks have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from initlib._dtypes import dtype_name
from initlib._errors import RequestError, did_you_mean
from initlib._extras import extra

Array = npt.NDArray[Any]
Convert = Callable[[Array], Any]

# The names that safetensors has for them.
NAMES = {
    **dict.fromkeys(("numpy", "np"), "numpy"),
    **dict.fromkeys(("torch", "pytorch", "pt"), "torch"),
    **dict.fromkeys(("jax", "flax"), "jax"),
}


def converter(framework: str, device: Any) -> Convert:
    """Return what makes a framework's tensor of an array.

    Args:
        framework: one of NAMES.
        device: where to put the tensor, as the framework calls it; None is its default.

    Raises:
        RequestError: there is no such framework or device, or it isn't installed.
    """
    known = NAMES.get(framework) if isinstance(framework, str) else None
    if known is None:
        hint = did_you_mean(str(framework), NAMES)
        raise RequestError(f"expected numpy, torch or jax, received {framework!r}{hint}")
    if known == "numpy":
        if device not in (None, "cpu"):
            raise RequestError(f"NumPy's arrays are on the cpu alone, received {device!r}")
        return lambda array: array
    return _torch(device) if known == "torch" else _jax(device)


def _torch(device: Any) -> Convert:
    with extra("torch"):
        import torch
    place = None if device is None else torch_device(device)

    def convert(array: Array) -> Any:
        dtype = getattr(torch, dtype_name(array.dtype))
        # NumPy's bfloat16 and float8 are unknown to torch: their bits go through as integers.
        bits = array.view(f"u{array.itemsize}") if array.dtype.kind == "V" else array
        tensor = torch.from_numpy(bits).view(dtype)
        return tensor if place is None else tensor.to(place)

    return convert


def torch_device(device: Any) -> Any:
    """Return a device by torch's name for it. RequestError if torch has none."""
    import torch

    try:
        place = torch.device(device)
        # Whether torch was built for it, and it is there, only shows with a tensor.
        torch.empty(0, device=place)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise RequestError(f"expected a device of torch's, received {device!r}: {reason}") from None
    return place


def _jax(device: Any) -> Convert:
    with extra("jax"):
        import jax
    if isinstance(device, str):
        try:
            device = jax.devices(device)[0]
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            raise RequestError(f"JAX has no device {device!r}: {reason}") from None

    def convert(array: Array) -> Any:
        check_jax_has(array.dtype)
        return jax.device_put(np.ascontiguousarray(array), device)

    return convert


def check_jax_has(dtype: np.dtype[Any]) -> None:
    """Raise RequestError if JAX, as it is set up, would narrow a dtype."""
    import jax

    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise RequestError(f"JAX has no {dtype_name(dtype)} unless jax_enable_x64 is set")
