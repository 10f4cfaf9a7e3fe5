"""Print docs/json.md: the fields of what commands print with --json, from their JSON Schemas.

make docs
"""

from __future__ import annotations

from typing import Any

import initlib

INTRODUCTION = """\
# What `--json` prints

`describe`, `verify` and `diff` print one JSON object with `--json`, and the functions of these
names return the same as typed results. `initgen schema describe` (or `verify`, `diff`) prints the
JSON Schema. Fields may be added; one that changes its meaning, or goes, raises `schema_version`.
JSON has no infinities and no NaN: such numbers are null, as are those that don't exist.

`make docs` writes this page from the types themselves.
"""


def main() -> None:
    print(INTRODUCTION)
    shown: set[str] = set()
    for command in ("describe", "verify", "diff"):
        schema = initlib.schema(command)
        print(f"## {command}\n")
        types = {schema["title"]: schema} if "properties" in schema else {}
        for name, each in {**types, **schema["$defs"]}.items():
            if name not in shown:
                print_type(name, each)
                shown.add(name)


def print_type(name: str, each: dict[str, Any]) -> None:
    print(f"### {name}\n\n{each['description']}\n")
    print("| field | type | what |\n| --- | --- | --- |")
    for field, about in each["properties"].items():
        text = about.get("description", "").replace("``", "`").replace("|", "\\|")
        print(f"| `{field}` | {kind(about)} | {text} |")
    print()


def kind(about: dict[str, Any]) -> str:
    """Return a field's type in words."""
    if "$ref" in about:
        name = about["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in about:
        return " or ".join(kind(each) for each in about["anyOf"])
    if "enum" in about:
        return ", ".join(f'"{value}"' for value in about["enum"])
    if about.get("type") == "array":
        items = about.get("items")
        return f"array of {kind(items)}" if items else "array"
    return str(about.get("type", "any"))


if __name__ == "__main__":
    main()
