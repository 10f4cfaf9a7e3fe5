"""Who makes the files of an output: this process, others of an engine, or several runs in parts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from initlib._errors import RequestError
from initlib._generate._job import Shard
from initlib._generate._run import finish, run, run_part
from initlib._generate._spread import Order, Spread
from initlib._output import Output, OutputFolder, Target, Terms
from initlib._workers import Progress

_PART = re.compile(r"([0-9]+)/([0-9]+)")


@dataclass(frozen=True, slots=True)
class Way:
    """How an output is made.

    Attributes:
        engine: what runs functions in other processes; None for this one.
        part: which of how many parts is made; None for all at once.
        finish: whether all parts are there.
    """

    engine: Any
    part: tuple[int, int] | None
    finish: bool

    @classmethod
    def of(cls, engine: Any, part: str | tuple[int, int] | None, *, finish: bool) -> Way:
        """Return the way that a user asks for.

        Raises:
            RequestError: there is no such part, or not both can be had.
        """
        asked = {"--engine": engine is not None, "--part": part is not None, "--finish": finish}
        names = [name for name, is_asked in asked.items() if is_asked]
        if len(names) > 1:
            raise RequestError(f"expected one of {' and '.join(names)}, received both")
        return cls(engine, None if part is None else _part(part), finish)

    @property
    def in_parts(self) -> bool:
        """Whether several runs make the output together."""
        return self.part is not None or self.finish

    def check(self, target: Target) -> None:
        """Find out whether files are made this way there.

        Raises:
            RequestError: they aren't at addresses, but by this process alone.
        """
        here = self.engine is None and not self.in_parts
        if not (here or isinstance(target, Output | OutputFolder)):
            problem = "--engine, --part and --finish are for folders on disks, not for addresses"
            raise RequestError(f"{target.path}: {problem}")

    def share(self, shards: Sequence[Shard]) -> Sequence[Shard]:
        """Return those of all shards that this run is about."""
        # Neighbours are of one kind; so each part has some of all.
        return shards if self.part is None else shards[self.part[0] - 1 :: self.part[1]]

    def go(
        self,
        shards: Sequence[Shard],
        target: Output | OutputFolder,
        terms: Terms,
        progress: Progress | None,
        order: Order | None,
        *,
        resume: bool,
    ) -> None:
        """Make the shards; the order is for an engine.

        Raises:
            RequestError: they may not be made, or there is no such engine.
            StorageError: they can't be made.
        """
        if order is not None:
            make = Spread(self.engine, order)
            run(shards, target, terms, progress, resume=resume, make=make)
        elif isinstance(target, Output) or not self.in_parts:
            run(shards, target, terms, progress, resume=resume)
        elif self.part is not None:
            run_part(shards, self.part, target, terms, progress, resume=resume)
        else:
            finish(shards, target, terms)


def _part(part: str | tuple[int, int]) -> tuple[int, int]:
    """Return which of how many parts is meant."""
    numbers: Any = part
    if isinstance(part, str) and (found := _PART.fullmatch(part)):
        numbers = tuple(map(int, found.groups()))
    match numbers:
        case (int(number), int(count)) if 1 <= number <= count:
            return number, count
    raise RequestError(f"expected a part such as 1/16 or 16/16, received {part!r}")
