"""JSON text to plain data and the line of every value."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from initlib._errors import ManifestError, RequestError
from initlib._manifest._lines import Lines, duplicate_key

# Only ever sees text that json has accepted, so a loose pattern will do. It never goes back (++):
# to remember where it could takes a hundred bytes for each character of a text.
_TOKEN = re.compile(r'\n|"(?:[^"\\]++|\\.)*+"|[{}\[\],:]|[^\s{}\[\],:"]+')

_TRAILING = re.compile(r",\s*[}\]]")


def load_json(text: str, source: str) -> tuple[Any, Lines]:
    """Return a JSON document's data and lines.

    Raises:
        ManifestError: it is not JSON (NaN and Infinity are not), or repeats a key.
    """
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise _syntax_error(error, source) from None
    except RecursionError:
        raise ManifestError("not JSON: nested too deeply", source=source) from None
    except RequestError as error:
        raise ManifestError(f"not JSON: {error}", source=source) from None
    except ValueError:  # Python's own limit on converting decimal digits
        raise ManifestError("not JSON: a number has too many digits", source=source) from None
    return data, _lines(text, source)


def _syntax_error(error: json.JSONDecodeError, source: str) -> ManifestError:
    text, place = error.doc, error.pos
    # From Python 3.13 on it's the comma that is wrong, before that the bracket behind it.
    comma = place if text.startswith(",", place) else len(text[:place].rstrip()) - 1
    if comma >= 0 and _TRAILING.match(text, comma):
        line = text.count("\n", 0, comma) + 1
        return ManifestError("not JSON: a comma with nothing behind it", source=source, line=line)
    return ManifestError(f"not JSON: {error.msg}", source=source, line=error.lineno)


def _refuse_constant(name: str) -> NoReturn:
    text = name.lower().replace("infinity", "inf")
    raise RequestError(f"{name} is not a JSON number; write {text!r} as text")


def _lines(text: str, source: str) -> Lines:
    """Return the lines of valid JSON; json itself tells none and drops repeated keys."""
    line = 1
    top: dict[str, Lines] = {}
    # What is open, and beside it the key that waits for its value and the key's line.
    stack: list[dict[str, Lines] | list[Lines]] = [top]
    keys: list[tuple[str, int] | None] = [("", 1)]
    piece = ""

    def add(children: dict[str, Lines] | list[Lines] | None) -> None:
        around, key = stack[-1], keys[-1]
        if isinstance(around, list):
            around.append(line if children is None else (line, children))
        elif key is not None:
            around[key[0]] = key[1] if children is None else (key[1], children)

    for match in _TOKEN.finditer(text):
        before, piece = piece, match[0]
        if piece == "\n":
            line, piece = line + 1, before
        elif piece in "{[":
            children: dict[str, Lines] | list[Lines] = {} if piece == "{" else []
            add(children)
            stack.append(children)
            keys.append(None)
        elif piece in "}]":
            stack.pop()
            keys.pop()
        elif piece in ",:":
            continue
        elif isinstance(stack[-1], dict) and before in ("{", ","):
            key = json.loads(piece)
            if key in stack[-1]:
                raise duplicate_key(key, source, line, (line, stack[-1]))
            keys[-1] = (key, line)
        else:
            add(None)
    return top[""]
