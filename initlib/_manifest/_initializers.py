"""Initializers as manifests write them, read into `InitializerSpec`; nothing is looked up."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from initlib._errors import RequestError
from initlib._manifest._expressions import (
    CONSTANTS,
    RESERVED,
    Variables,
    arithmetic_names,
    evaluate,
    evaluate_tree,
    parse,
)
from initlib._manifest._model import KerasConfig, check_text
from initlib._manifest._specs import InitializerSpec, Where
from initlib._manifest._wording import show

_NAME = re.compile(r"[^\W\d]\w*")
# A name, perhaps after whose it is: jax.normal.
_IDENTIFIER = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
# A file or a module, a colon, and what to take from it.
_CUSTOM = re.compile(r"[^:\0]+(?::[^\W\d][\w.]*)")
_FORMS = (
    "expected an initializer as a name (he_normal), a call (truncated_normal(stddev=0.02)),"
    " a config (class_name: ...) or custom code (file.py:name)"
)
_CUSTOM_CALL = "expected the arguments of custom code in a config (class_name: ..., config: ...)"


def build(written: str | KerasConfig, variables: Variables, where: Where) -> InitializerSpec:
    """Return what an initializer stands for when the variables have these values.

    Raises:
        RequestError: it is not written in one of the forms, or its arithmetic is wrong.
    """
    if isinstance(written, KerasConfig):
        config = {name: _value(value, variables) for name, value in written.config.items()}
        others = written.model_dump(include={"module", "registered_name", "build_config"})
        keras = {key: value for key, value in others.items() if value is not None}
        return InitializerSpec(_identifier(written.class_name), (), config, keras or None, where)
    if "(" not in written:
        return InitializerSpec(_identifier(written), where=where)
    return _call(written, variables, where)


def write(spec: InitializerSpec) -> str | dict[str, Any]:
    """Return an initializer as a manifest without variables has it; its arguments have names."""
    if not spec.config and spec.keras is None:
        return spec.identifier
    config = {key: _plain(value) for key, value in spec.config.items()}
    if {key: _value(value, {}) for key, value in config.items()} == config:
        return {**(spec.keras or {}), "class_name": spec.identifier, "config": config}
    # In a config, text that reads as arithmetic would be taken for it.
    return _call_text(spec.identifier, config)


def _plain(value: Any) -> Any:
    """Return a value with lists in the place of tuples, as JSON has them."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _call_text(name: str, config: Mapping[str, Any]) -> str:
    return f"{name}({', '.join(f'{key}={_argument_text(each)}' for key, each in config.items())})"


def _argument_text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_argument_text, value))}]"
    if isinstance(value, dict):
        return _call_text(value["class_name"], value.get("config", {}))
    return repr(value)


def uses(written: str | KerasConfig, names: set[str]) -> bool:
    """Tell whether an initializer depends on one of these variables."""
    if isinstance(written, KerasConfig):
        return any(_mentions(value, names) for value in written.config.values())
    return "(" in written and not names.isdisjoint(_NAME.findall(written))


def length(written: Any) -> int:
    """Return about how long an initializer is, written out."""
    if isinstance(written, KerasConfig):
        return length(written.config)
    if isinstance(written, dict | list):
        children = written.values() if isinstance(written, dict) else written
        return 1 + sum(map(length, children))
    return len(written) if isinstance(written, str) else 1


def _mentions(value: Any, names: set[str]) -> bool:
    if isinstance(value, str):
        return not names.isdisjoint(arithmetic_names(value) or ())
    children = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict | list) and any(_mentions(child, names) for child in children)


def _identifier(text: str) -> str:
    if not _IDENTIFIER.fullmatch(text) and not _CUSTOM.fullmatch(text):
        raise RequestError(f"{_FORMS}, received {show(text)}")
    return text


def _value(value: Any, variables: Variables) -> Any:
    """Return a config's value with arithmetic in it evaluated.

    Text is arithmetic if it reads as such and all its names are known: `fan_in` remains text.
    """
    if isinstance(value, str):
        names = arithmetic_names(value)
        if names is None or not names <= variables.keys() | CONSTANTS.keys():
            check_text(value)
            return value
        return evaluate(value, variables)
    if isinstance(value, list):
        return [_value(item, variables) for item in value]
    if isinstance(value, dict):
        return {key: _value(item, variables) for key, item in value.items()}
    return value


def _call(text: str, variables: Variables, where: Where) -> InitializerSpec:
    name, tree = _parse_call(text)
    try:
        args = tuple(_argument(node, variables) for node in tree.args)
        return InitializerSpec(name, args, _keywords(tree, variables), where=where)
    except RequestError as error:
        raise RequestError(f"in {show(text)}: {error}") from None


def _keywords(tree: ast.Call, variables: Variables) -> dict[str, Any]:
    named = [(node.arg, _argument(node.value, variables)) for node in tree.keywords]
    config = {key: value for key, value in named if key is not None}
    if len(config) < len(named):
        raise RequestError("expected each argument once and by its name")
    return config


def _parse_call(text: str) -> tuple[str, ast.Call]:
    """Return the name that a call calls, and the call."""
    if _CUSTOM.fullmatch(text.partition("(")[0]):
        raise RequestError(f"{_CUSTOM_CALL}, received {show(text)}")
    try:
        tree = parse(text)
    except RequestError:
        tree = None
    if isinstance(tree, ast.Call) and (name := _called(tree)):
        return name, tree
    raise RequestError(f"{_FORMS}, received {show(text)}")


def _called(tree: ast.Call) -> str | None:
    """Return the initializer's name that a call calls, if it isn't a function of numbers."""
    name = ast.unparse(tree.func)
    return name if _IDENTIFIER.fullmatch(name) and name not in RESERVED else None


def _argument(node: ast.expr, variables: Variables) -> Any:
    """Return the value of a call's argument: text, a constant, a list, a call, or arithmetic."""
    match node:
        case ast.Constant(value=None | True | False as constant):
            return constant
        case ast.Constant(value=str(text)):
            check_text(text)
            return text
        case ast.List(elts=items):
            return [_argument(item, variables) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_argument(item, variables) for item in items)
        case ast.Call(args=[]) if name := _called(node):
            return {"class_name": name, "config": _keywords(node, variables)}
    try:
        return evaluate_tree(node, variables)
    except RequestError as error:
        hint = "; text needs quotes" if isinstance(node, ast.Name) else ""
        if isinstance(node, ast.Call):
            hint = "; an initializer inside another takes its arguments by their names"
        raise RequestError(f"{error}{hint}") from None
