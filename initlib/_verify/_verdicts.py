"""What is said of each tensor that was verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from initlib._compare import Found, multi_index
from initlib._dtypes import dtype_name
from initlib._formats import Entry
from initlib._plan import TensorPlan


@dataclass(frozen=True, slots=True)
class TensorVerdict:
    """Whether a tensor is what it should be.

    Attributes:
        name: its name.
        same: whether it is.
        how: how that was found out: "values" were made again and have the same bits; those of an
            inexact initializer differ by no more than its "tolerance", and the digest is the
            recorded one; or the "digest" alone was compared. None where nothing could be.
        problem: "missing", "unexpected", "reshaped", "recast" or "changed"; None if there is none.
        detail: what is wrong, in words; None if nothing is.
        elements: how many it ought to have.
        differing: how many of them have other bits; None where values weren't made.
        first: index of the first such element in C order; None if there is none.
        first_index: the same along each axis.
        expected: that element's value as it should be, as text.
        found: its value in the file.
    """

    name: str
    same: bool
    how: Literal["values", "tolerance", "digest"] | None
    problem: Literal["missing", "unexpected", "reshaped", "recast", "changed"] | None = None
    detail: str | None = None
    elements: int = 0
    differing: int | None = None
    first: int | None = None
    first_index: tuple[int, ...] | None = None
    expected: str | None = None
    found: str | None = None


def missing(tensor: TensorPlan, unread: str | None) -> TensorVerdict:
    """Say that a tensor isn't there, or is something that can't be read."""
    detail = f"is {unread}, which initlib doesn't read" if unread else "is missing"
    return TensorVerdict(tensor.entry.name, False, None, "missing", detail, tensor.target.size)


def unexpected(name: str, what: str) -> TensorVerdict:
    """Say that there is something that shouldn't be."""
    return TensorVerdict(name, False, None, "unexpected", f"is unexpected ({what})")


def misshapen(tensor: TensorPlan, entry: Entry) -> TensorVerdict | None:
    """Say that a tensor has another shape or dtype, if it has."""
    wanted, size = tensor.entry, tensor.target.size
    if entry.shape != wanted.shape:
        detail = f"expected shape {list(wanted.shape)}, found {list(entry.shape)}"
        return TensorVerdict(wanted.name, False, None, "reshaped", detail, size)
    if entry.dtype != wanted.dtype:
        detail = f"expected {dtype_name(wanted.dtype)}, found {dtype_name(entry.dtype)}"
        return TensorVerdict(wanted.name, False, None, "recast", detail, size)
    return None


def made_otherwise(tensor: TensorPlan, recorded: str) -> TensorVerdict:
    """Say that a tensor is recorded to come from other code than it should."""
    detail = f"expected {tensor.spec} to have made it, but it was {recorded}"
    return TensorVerdict(tensor.entry.name, False, None, "changed", detail, tensor.target.size)


def by_digest(tensor: TensorPlan, found: Found, recorded: str) -> TensorVerdict:
    """Judge a tensor by its digest alone."""
    name, size = tensor.entry.name, tensor.target.size
    if found.digest == recorded:
        return TensorVerdict(name, True, "digest", elements=size)
    detail = "its digest isn't the recorded one: values were changed"
    return TensorVerdict(name, False, "digest", "changed", detail, size)


def by_values(tensor: TensorPlan, found: Found, recorded: str | None) -> TensorVerdict:
    """Judge a tensor by the values that were made again.

    Args:
        tensor: the tensor.
        found: in all of its leaves.
        recorded: its digest as the file's provenance has it; None if there is none.
    """
    name, size = tensor.entry.name, tensor.target.size
    if found.first is None:
        return TensorVerdict(name, True, "values", elements=size, differing=0)
    index = multi_index(found.first, tensor.entry.shape)
    place = found.first, index, found.expected, found.found
    tolerance = tensor.tolerance
    within = tolerance is not None and found.excess <= tolerance * found.largest
    if within and recorded in (None, found.digest):
        return TensorVerdict(name, True, "tolerance", None, None, size, found.differing, *place)
    detail = (
        f"{found.differing:,} of {size:,} elements differ, first [{', '.join(map(str, index))}]: "
        f"expected {found.expected}, found {found.found}"
    )
    if within:
        detail += f"; all are within {tolerance:g}, but the digest isn't the recorded one"
    elif tensor.source is not None and recorded == found.digest:
        what = "its code makes" if tensor.spec.custom else f"{tensor.source} has"
        detail += f"; the file is as it was recorded, so {what} other values now"
    how: Literal["values", "tolerance"] = "values" if tolerance is None else "tolerance"
    return TensorVerdict(name, False, how, "changed", detail, size, found.differing, *place)
