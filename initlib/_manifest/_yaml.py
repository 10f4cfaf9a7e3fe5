"""YAML text to plain data and the line of every value, safely: nothing but text, numbers, null.

Scalars are read by YAML 1.2's rules, not 1.1's: `1e-3` is a number, `on` and `2024-01-01` are text.
Events are read straight into data, which a document of 100,000 layers needs to load in seconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from initlib._errors import ManifestError
from initlib._manifest._lines import Lines, duplicate_key
from initlib._manifest._wording import show

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SafeDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
# The tags that change nothing about how we read a value; all others are refused.
_TAGS = {None, "!", *(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))}
# Aliases can make a few lines stand for billions of values; these bound it.
MAX_ALIASED = 100_000
# Of integers: more than any has, few enough to be quick.
MAX_DIGITS = 1000

# YAML 1.2's core schema, sections 10.3.2; a plain scalar that fits none of these is text.
_CONSTANTS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_NUMERIC_START = frozenset("0123456789+-.")


@dataclass(slots=True)
class _Frame:
    """A list or mapping that is being read; `key` waits for its value."""

    data: Any
    lines: tuple[int, Any]
    anchor: str | None
    size: int = 1
    key: str | None = None
    key_line: int = 0


def load_yaml(text: str, source: str) -> tuple[Any, Lines]:
    """Return a YAML document's data and lines.

    Raises:
        ManifestError: it is not one document of safe YAML.
    """
    try:
        return _Builder(source).document(_Loader(text))
    except yaml.YAMLError as error:
        raise _syntax_error(error, text, source) from None


@dataclass(slots=True)
class _Builder:
    """Builds data and lines from parser events, with a stack of its own instead of recursion."""

    source: str
    stack: list[_Frame] = field(default_factory=list)
    anchors: dict[str, tuple[Any, Lines, int]] = field(default_factory=dict)
    aliased: int = 0
    result: tuple[Any, Lines] | None = None

    def document(self, loader: Any) -> tuple[Any, Lines]:
        """Read the one document that the loader's text holds."""
        while loader.check_event():
            event = loader.get_event()
            line = event.start_mark.line + 1
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._scalar(event, line)
            elif kind is yaml.MappingStartEvent:
                self._open(event, {}, {}, line)
            elif kind is yaml.SequenceStartEvent:
                self._open(event, [], [], line)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._close()
            elif kind is yaml.AliasEvent:
                self._alias(event, line)
            elif kind is yaml.DocumentStartEvent and self.result is not None:
                raise self._error("expected one document, received several", line)
        return self.result or (None, 1)

    def _error(self, problem: str, line: int) -> ManifestError:
        return ManifestError(problem, source=self.source, line=line)

    def _scalar(self, event: Any, line: int) -> None:
        self._check_tag(event, line)
        frame = self.stack[-1] if self.stack else None
        if frame is not None and frame.key is None and type(frame.data) is dict:
            # Keys are text as they stand, as in JSON: `1: x` and `on: x` mean "1" and "on".
            self._key(frame, event.value, line)
            return
        plain = event.implicit[0] and event.tag is None
        try:
            value = _plain(event.value) if plain else event.value
        except ValueError:  # Python's own limit on converting decimal digits
            raise self._error("a number has too many digits", line) from None
        if event.anchor:
            self.anchors[event.anchor] = (value, line, 1)
        self._add(value, line, 1)

    def _key(self, frame: _Frame, key: str, line: int) -> None:
        if key in frame.data:
            raise duplicate_key(key, self.source, line, frame.lines)
        frame.key, frame.key_line = key, line

    def _open(self, event: Any, data: Any, children: Any, line: int) -> None:
        self._check_tag(event, line)
        if self.stack and self.stack[-1].key is None and type(self.stack[-1].data) is dict:
            raise self._error("expected a name as the key, received a list or mapping", line)
        self.stack.append(_Frame(data, (line, children), event.anchor))

    def _close(self) -> None:
        frame = self.stack.pop()
        if frame.anchor:
            self.anchors[frame.anchor] = (frame.data, frame.lines, frame.size)
        self._add(frame.data, frame.lines, frame.size)

    def _alias(self, event: Any, line: int) -> None:
        if event.anchor not in self.anchors:
            raise self._error(f"alias *{event.anchor} has no anchor that ends before it", line)
        data, lines, size = self.anchors[event.anchor]
        self.aliased += size
        if self.aliased > MAX_ALIASED:
            raise self._error(f"aliases stand for more than {MAX_ALIASED:,} values", line)
        frame = self.stack[-1]
        if frame.key is None and type(frame.data) is dict:
            raise self._error("expected a name as the key, received an alias", line)
        self._add(data, lines, size)

    def _add(self, value: Any, lines: Lines, size: int) -> None:
        """Put a finished value into the list or mapping around it."""
        if not self.stack:
            self.result = (value, lines)
            return
        frame = self.stack[-1]
        frame.size += size
        if type(frame.data) is dict:
            frame.data[frame.key] = value
            # A value's line is its key's, which is where a reader looks.
            line = frame.key_line
            frame.lines[1][frame.key] = line if isinstance(lines, int) else (line, lines[1])
            frame.key = None
        else:
            frame.data.append(value)
            frame.lines[1].append(lines)

    def _check_tag(self, event: Any, line: int) -> None:
        if event.tag not in _TAGS:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise self._error(f"expected plain data, received the YAML tag {show(tag)}", line)


def _plain(text: str) -> Any:
    """Return the value of an unquoted scalar."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _NUMERIC_START:
        return text
    if _INTEGER.fullmatch(text):
        # Python limits decimal digits, and this is what it allows itself to print.
        if len(text) > MAX_DIGITS:
            raise ValueError("too many digits")
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if special := _SPECIAL.fullmatch(text):
        return float("nan") if special[3] else float(special[1] + "inf")
    return text


class _Dumper(_SafeDumper):  # type: ignore[misc]
    """Quotes what either YAML 1.1, as PyYAML does by itself, or 1.2 takes for no text."""

    def represent_text(self, text: str) -> Any:
        """Return the node of a text."""
        plain = not text or (_plain(text) == text and "\n" not in text)
        style = None if plain else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


def flow(value: Any) -> str:
    """Return plain data as YAML in one line, which loads to the same data."""
    text: str = yaml.dump(
        value,
        Dumper=_Dumper,
        default_flow_style=True,
        sort_keys=False,
        allow_unicode=True,
        width=1 << 30,
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _syntax_error(error: yaml.YAMLError, text: str, source: str) -> ManifestError:
    """Return PyYAML's complaint as one line, with a hint for the usual mistake."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "bad YAML"
    if mark is None:
        position = getattr(error, "position", 0)
        return ManifestError(
            f"not YAML: {problem}", source=source, line=text.count("\n", 0, position) + 1
        )
    lines = text.splitlines()
    if mark.line < len(lines) and lines[mark.line][: mark.column + 1].endswith("\t"):
        problem = "a tab where spaces are expected"
    return ManifestError(f"not YAML: {problem}", source=source, line=mark.line + 1)
