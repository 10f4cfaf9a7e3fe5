"""What comes out of a manifest: tensor specifications, and the places that errors name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from initlib._errors import ManifestError
from initlib._manifest._lines import Lines, Location, line_of, path_of


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a manifest.

    Attributes:
        source: the manifest's file name, ``<stdin>`` or ``<manifest>``.
        location: keys and indices, such as ("layers", 3, "shape").
        lines: of everything in the manifest, or None where there is no text behind it.
    """

    source: str
    location: Location
    lines: Lines | None = field(compare=False, repr=False)

    @property
    def path(self) -> str:
        """The location as it is printed, such as ``layers[3].shape``."""
        return path_of(self.location)

    @property
    def line(self) -> int | None:
        """The line, from 1 on, or None where there is no text behind the manifest."""
        return line_of(self.lines, self.location)

    def error(self, problem: str) -> ManifestError:
        """Return the error that says what is wrong here."""
        return ManifestError(problem, source=self.source, path=self.path, line=self.line)


@dataclass(frozen=True, slots=True)
class InitializerSpec:
    """An initializer as written, its arithmetic evaluated; nothing is looked up or run yet.

    Attributes:
        identifier: ``he_normal``, ``TruncatedNormal``, ``my_inits.py:my_init``, ``package:Class``.
        args: positional arguments of a call, as in ``constant(0.5)``.
        config: keyword arguments of a call, or the "config" of a Keras config.
        keras: the other keys of a Keras config (module, registered_name, build_config), if any.
        where: its place in the manifest, in a layer or a rule; not part of its value.
    """

    identifier: str
    args: tuple[Any, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    keras: Mapping[str, Any] | None = None
    where: Where | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        """Return it as a call, such as ``truncated_normal(stddev=0.02)``."""
        arguments = [*map(repr, self.args), *(f"{k}={v!r}" for k, v in self.config.items())]
        return f"{self.identifier}({', '.join(arguments)})" if arguments else self.identifier

    @property
    def custom(self) -> bool:
        """Whether it names code outside initlib, as in ``my_inits.py:my_init``."""
        return ":" in self.identifier


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor of an expanded manifest.

    Attributes:
        name: unique in the manifest.
        shape: dimensions in elements; () is a scalar.
        dtype: a name from `initlib._dtypes`.
        layout: "keras" or "torch", the order in which the shape lists fan-in and fan-out.
        seed: the layer's own, or the manifest's.
        initializer: of which tensors share one object where it is the same for all of them.
        where: the layer's place in the manifest.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str
    seed: int
    initializer: InitializerSpec
    where: Where
