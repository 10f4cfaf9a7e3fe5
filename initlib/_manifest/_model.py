"""The manifest as written: which keys there are and what they hold, checked by pydantic.

Descriptions and examples here are what editors show, by way of the JSON Schema.
"""

from __future__ import annotations

import keyword
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    WithJsonSchema,
)

from initlib._dtypes import DEFAULT, DTYPES, as_dtype, dtype_name
from initlib._errors import RequestError
from initlib._manifest._expressions import RESERVED, Number
from initlib._manifest._wording import show
from initlib._stream import MAX_SEED, check_seed


def check_dtype(name: str) -> str:
    """Return a dtype's name.

    Raises:
        RequestError: there is no such dtype.
    """
    return dtype_name(as_dtype(name))


def check_variable(name: str) -> str:
    """Return a variable's name.

    Raises:
        RequestError: arithmetic could not use it.
    """
    if not (name.isascii() and name.isidentifier()) or keyword.iskeyword(name):
        raise RequestError(f"expected a name such as d_model for a variable, received {show(name)}")
    if name in RESERVED:
        raise RequestError(f"{show(name)} already has a meaning in arithmetic; choose another name")
    return name


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise RequestError(f"expected a number or arithmetic, received {show(value)}")
    return value


def check_text(text: str) -> str:
    r"""Return text.

    Raises:
        RequestError: no file could hold it; JSON and Python can write half a character (\ud800).
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RequestError(f"expected text, received {show(text)} with half a character") from None
    return text


def _name(name: str) -> str:
    if not name or "\0" in name:
        raise RequestError(
            f"expected a name of one character or more, none of them NUL, received {show(name)}"
        )
    return name


def _metadata(metadata: dict[str, str]) -> dict[str, str]:
    if "initgen" in metadata:
        raise RequestError("the key 'initgen' is where initgen records how the file was made")
    return metadata


def _repeat(repeat: dict[str, Any]) -> dict[str, Any]:
    if not repeat:
        raise RequestError("expected a variable and how often, such as {i: 32}")
    return repeat


def _item_kind(item: Any) -> str:
    """Return the tag of a layer or repeat, as data or as a model."""
    repeat = isinstance(item, Repeat) or (
        isinstance(item, dict) and ("repeat" in item or "layers" in item)
    )
    return REPEAT if repeat else LAYER


def _initializer_kind(value: Any) -> str | None:
    if isinstance(value, str):
        return CALL
    return CONFIG if isinstance(value, dict | KerasConfig) else None


def _counts_kind(value: Any) -> str:
    return COUNTS if isinstance(value, list) else COUNT


# Tags of the unions below; pydantic puts them into an error's location.
LAYER, REPEAT, CALL, CONFIG, COUNT, COUNTS = (
    f"({tag})" for tag in ("layer", "repeat", "call", "config", "count", "counts")
)

Arithmetic: TypeAlias = Annotated[
    Number | str,
    PlainValidator(_number),
    WithJsonSchema({"type": ["number", "string"], "examples": [768, "4*d_model"]}),
]
Dtype: TypeAlias = Annotated[
    str, AfterValidator(check_dtype), WithJsonSchema({"type": "string", "enum": list(DTYPES)})
]
Layout: TypeAlias = Literal["keras", "torch"]
Seed: TypeAlias = Annotated[
    int,
    PlainValidator(check_seed),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": MAX_SEED}),
]
Variable: TypeAlias = Annotated[str, AfterValidator(check_variable)]
Text: TypeAlias = Annotated[str, AfterValidator(check_text)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class KerasConfig(_Part):
    """An initializer as Keras serialises it, or custom code with its arguments."""

    class_name: Text = Field(
        description="A Keras initializer, or custom code as file.py:name or package.module:name.",
        examples=["TruncatedNormal", "my_inits.py:MyInit"],
    )
    config: dict[str, Any] = Field(
        default={},
        description="Its arguments. Text that is arithmetic over known variables is evaluated.",
        examples=[{"mean": 0.0, "stddev": "0.02/sqrt(2*n_layers)", "seed": None}],
    )
    module: str | None = Field(default=None, description="As Keras wrote it.")
    registered_name: str | None = Field(default=None, description="As Keras wrote it.")
    build_config: dict[str, Any] | None = Field(default=None, description="As Keras wrote it.")


Initializer: TypeAlias = Annotated[
    Annotated[Text, Tag(CALL)] | Annotated[KerasConfig, Tag(CONFIG)],
    Discriminator(
        _initializer_kind,
        custom_error_type="initializer",
        custom_error_message="no initializer",
    ),
    Field(
        description="A name, a call, a Keras config, or custom code (file.py:name).",
        examples=["he_normal", "truncated_normal(stddev=0.02)", {"class_name": "Zeros"}],
    ),
]


class Layer(_Part):
    """One tensor, or one for each turn of the repeats around it."""

    name: Annotated[Text, AfterValidator(_name)] = Field(
        description="The tensor's name. {i} is the value of a variable, {i+1} arithmetic over it,"
        " {i:02d} pads it with zeros; {{ and }} are braces.",
        examples=["dense/kernel", "h.{i}.attn.weight"],
    )
    shape: list[Arithmetic] = Field(
        description="Dimensions: integers, or arithmetic over vars. [] is a scalar.",
        examples=[[784, 256], ["d_model", "4*d_model"]],
    )
    dtype: Dtype | None = Field(default=None, description="Default: the manifest's dtype.")
    initializer: Initializer | None = Field(
        default=None, description="Default: that of the first rule whose match fits the name."
    )
    seed: Seed | None = Field(default=None, description="Takes the place of the manifest's seed.")


class Repeat(_Part):
    """Layers that are there several times."""

    repeat: Annotated[
        dict[
            Variable,
            Annotated[
                Annotated[Arithmetic, Tag(COUNT)] | Annotated[list[Arithmetic], Tag(COUNTS)],
                Discriminator(_counts_kind),
            ],
        ],
        AfterValidator(_repeat),
    ] = Field(
        description="Variables and the values each takes: a count (from 0), or a list of integers.",
        examples=[{"i": 32}, {"i": [0, 2, 5]}, {"i": "n_layers"}],
        json_schema_extra={"minProperties": 1},
    )
    layers: list[Item] = Field(description="What is repeated.")


Item: TypeAlias = Annotated[
    Annotated[Layer, Tag(LAYER)] | Annotated[Repeat, Tag(REPEAT)], Discriminator(_item_kind)
]
Repeat.model_rebuild()


class Rule(_Part):
    """The initializer of every layer that has none of its own and whose name fits."""

    match: Text = Field(
        description="A glob over whole names: * any text, ? any character, [abc] one of these.",
        examples=["*.bias"],
    )
    initializer: Initializer
    dtype: Dtype | None = Field(
        default=None, description="For the layers it gives the initializer, unless they name one."
    )


class Document(_Part):
    """Lists the tensors of a checkpoint and how each is initialised."""

    version: Literal[1] = Field(default=1, description="The version of the manifest's format.")
    seed: Seed = Field(default=0, description="With its name it determines a tensor's values.")
    dtype: Dtype = Field(default=DEFAULT, description="The dtype of layers that name none.")
    layout: Layout = Field(
        default="keras",
        description="How shapes are read: torch as (out, in, ...), keras as (..., in, out).",
    )
    vars: dict[Variable, Arithmetic] = Field(
        default={},
        description="Numbers for use in arithmetic, in terms of earlier ones if need be.",
        examples=[{"d_model": 768, "d_ff": "4*d_model"}],
    )
    rules: list[Rule] = Field(
        default=[], description="Initializers by name; the first rule that fits counts."
    )
    layers: list[Item] = Field(description="The tensors, in their order in the file.")
    metadata: Annotated[dict[Text, Text], AfterValidator(_metadata)] = Field(
        default={},
        description="Text to put into the file's metadata.",
        examples=[{"license": "apache-2.0"}],
        json_schema_extra={"propertyNames": {"not": {"const": "initgen"}}},
    )
