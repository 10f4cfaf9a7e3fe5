"""How much a file may ask for; each limit can be raised in the environment. See docs/manifest.md.

What a file asks for beyond its own size is counted, not timed: a limit is the same on any machine.
"""

from __future__ import annotations

import os

from initlib._errors import RequestError

DEFAULTS = {
    # Tensors of one manifest, and turns of its repeats.
    "TENSORS": 1_000_000,
    # Work that a manifest makes by its repeats, rules and arithmetic: about 0.1 microseconds each.
    "STEPS": 500_000_000,
    # Bytes of a manifest.
    "MANIFEST": 256 << 20,
    # Bytes that a packed archive may unpack to, where that is over 20 times its size.
    "UNPACKED": 512 << 20,
}


def limit(name: str) -> int:
    """Return a limit: that of the environment, or the default.

    Raises:
        RequestError: the environment's is no number.
    """
    variable = f"INITGEN_MAX_{name}"
    text = os.environ.get(variable)
    if text is None:
        return DEFAULTS[name]
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise RequestError(f"{variable}: expected a number, received {text[:40]!r}")
    return int(text)


def raising(name: str) -> str:
    """Return the hint how a limit is raised."""
    return f"INITGEN_MAX_{name} in the environment raises the limit of {limit(name):,}"
