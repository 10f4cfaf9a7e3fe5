"""What of an address may be shown."""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"(?<=://)[^/\s@]*@")
_QUERY = re.compile(r"(https?://[^\s?'\"]*)\?[^\s'\"]*")


def without_secrets(text: str) -> str:
    """Return a text without the users, passwords and queries of the addresses in it."""
    return _QUERY.sub(r"\1?...", _PASSWORD.sub("", text))
