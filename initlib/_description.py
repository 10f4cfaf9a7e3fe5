"""What `describe` returns: plain data, of which `--json` prints every field.

Numbers that don't exist (the mean of no values, a z score without an expectation) and those that
JSON lacks (infinities, NaN) are None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# Grows by one when a field changes its meaning or goes; new fields may come without.
SCHEMA_VERSION = 1

# The quantiles of every tensor, as shares of its finite values.
QUANTILES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)

Verdict = Literal["ok", "off"]
Family = Literal["normal", "truncated_normal", "uniform", "constant"]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a tensor's initializer promises.

    Attributes:
        initializer: as a call, such as ``HeNormal(seed=3)``.
        distribution: "normal", "truncated_normal", "uniform", "constant", or None for others.
        mean: of the values once they are rounded to the tensor's dtype.
        stddev: likewise.
        low: the least value that can occur, None if there is no bound or none is known.
        high: the largest one.
    """

    initializer: str
    distribution: Family | None = None
    mean: float | None = None
    stddev: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether measured values are what their initializer promises.

    Attributes:
        verdict: "ok" or "off".
        z_mean: how many standard errors the mean is from the expected one.
        z_stddev: likewise for the standard deviation.
        z_shape: how unlikely the largest distance between the two cumulative distributions is, as
            the z score of a normal variable that is as unlikely (one-sided; Kolmogorov-Smirnov).
        problems: why it is off, a phrase each.
    """

    verdict: Verdict
    z_mean: float | None = None
    z_stddev: float | None = None
    z_shape: float | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Histogram:
    """How values are distributed over cells of equal width.

    Attributes:
        low: where the first cell starts.
        high: where the last cell ends; both ends belong to the range.
        counts: values in each cell. Values so near to each other that they were counted together
            are shared out among the cells that they may lie in, so these need not be integers.
        expected: how many the initializer promises in each, None if that isn't known. Of dtypes
            with few values it has their steps.
        below: how many finite values are less than `low`.
        above: how many are more than `high`.
    """

    low: float
    high: float
    counts: tuple[float, ...]
    expected: tuple[float, ...] | None
    below: float
    above: float


@dataclass(frozen=True, slots=True)
class Spectrum:
    """The singular values of a matrix. Tensors of more axes are read as (...kernel x in, out).

    In torch's layout, (out, in, ...kernel), they are read as (out, in x ...kernel).

    Attributes:
        norm: the largest one (the spectral norm).
        least: the smallest one.
        condition: the largest divided by the smallest, None if that is 0.
        rank: how many are above the error of computing them.
    """

    norm: float
    least: float
    condition: float | None
    rank: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures of a tensor's values, or of a group's; moments are over the finite ones.

    Those of which float64 can't hold the sums of powers are None.

    Attributes:
        mean: arithmetic mean.
        stddev: standard deviation, the root of the mean squared distance from the mean.
        min: the least finite value.
        max: the largest finite value.
        skewness: third standardised moment.
        kurtosis: fourth standardised moment less 3: 0 for a normal distribution.
        l2: root of the sum of squares.
        zeros: how many values are 0 (or -0).
        nan: how many are not a number.
        infinite: how many are infinite.
    """

    mean: float | None
    stddev: float | None
    min: float | None
    max: float | None
    skewness: float | None
    kurtosis: float | None
    l2: float | None
    zeros: int
    nan: int
    infinite: int


@dataclass(frozen=True, slots=True)
class TensorDescription:
    """One tensor of a checkpoint.

    Attributes:
        name: its name.
        dtype: of the values as stored.
        shape: sizes of its axes.
        fan_in: how many inputs an output has, by the layout of the shape.
        fan_out: how many outputs an input has.
        parameters: how many elements there are.
        nbytes: how many bytes they take.
        file: the name of the file that it is in.
        statistics: of its values.
        quantiles: the values below which the shares `QUANTILES` of the finite values lie; None if
            there are none, or if some of float64 are beyond what is told apart. For dtypes of 16
            bits and less they are exact; for others they are off by at most 1/512 of their distance
            from the tensor's typical value.
        histogram: of the finite values; None where there are no quantiles.
        expected: what its initializer promises; None if nobody says which that is.
        judgement: whether it keeps that promise; None if there is nothing to hold it against.
        spectrum: singular values; only where one tensor was asked for, and only of matrices.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    fan_in: int
    fan_out: int
    parameters: int
    nbytes: int
    file: str
    statistics: Statistics
    quantiles: tuple[float, ...] | None
    histogram: Histogram | None
    expected: Expected | None = None
    judgement: Judgement | None = None
    spectrum: Spectrum | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Tensors whose names begin alike, or all of them.

    Attributes:
        name: what the names begin with; empty for the total.
        tensors: how many there are.
        parameters: how many elements they have.
        nbytes: how many bytes they take.
        off: how many tensors aren't what they should be.
        statistics: of all their values together.
    """

    name: str
    tensors: int
    parameters: int
    nbytes: int
    off: int
    statistics: Statistics


@dataclass(frozen=True, slots=True)
class Unread:
    """Something in a file that isn't a tensor which initlib can read.

    Attributes:
        name: its name.
        what: such as "strings", "a link to 'other'", "dtype F4".
        file: the name of the file that it is in.
    """

    name: str
    what: str
    file: str


@dataclass(frozen=True, slots=True)
class Description:
    """What is in a checkpoint.

    Attributes:
        path: as it was given.
        format: "safetensors", "hdf5" or "keras".
        files: names of the files that hold tensors: one, or the shards.
        made_by: such as "initgen 0.1.0, seed 42" where the file says so itself.
        source: where the initializers are known from: "provenance", a manifest's file name, or
            None.
        layout: "keras" or "torch", how shapes were read for fans.
        false_alarms: the chance that any tensor at all of a checkpoint of this many is called off
            although each is what its initializer promises.
        total: of all tensors shown.
        groups: by the beginning of the names, if asked for.
        tensors: one row each.
        unread: what else was found.
        missing: names of tensors that manifest or provenance tell of, and that aren't there.
        seconds: how long it took.
        schema_version: of these fields.
    """

    path: str
    format: str
    files: tuple[str, ...]
    made_by: str | None
    source: str | None
    layout: str
    false_alarms: float
    total: Group
    groups: tuple[Group, ...]
    tensors: tuple[TensorDescription, ...]
    unread: tuple[Unread, ...]
    missing: tuple[str, ...]
    seconds: float
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """One tensor of a manifest, before it is made.

    Attributes:
        name: its name.
        dtype: its dtype.
        shape: sizes of its axes.
        layout: "keras" or "torch", how the shape is read for fans.
        fan_in: how many inputs an output has.
        fan_out: how many outputs an input has.
        parameters: how many elements it has.
        nbytes: how many bytes they take.
        offset: the byte of the file at which they start.
        seed: the seed behind its values.
        line: of the manifest, 1-based; None where there is no text behind it.
        expected: its initializer, and what that promises.
        warnings: what looks like a mistake, a phrase each.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    layout: str
    fan_in: int
    fan_out: int
    parameters: int
    nbytes: int
    offset: int
    seed: int
    line: int | None
    expected: Expected
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outline:
    """What a manifest would make.

    Attributes:
        path: the manifest, as it was given.
        format: of the file that it would make.
        manifest_sha256: hash of the manifest in canonical form.
        seed: the manifest's.
        parameters: how many elements there are.
        nbytes: how many bytes of values.
        file_bytes: how large the file would be.
        tensors: one row each, in the manifest's order.
        schema_version: of these fields.
    """

    path: str
    format: str
    manifest_sha256: str
    seed: int
    parameters: int
    nbytes: int
    file_bytes: int
    tensors: tuple[PlannedTensor, ...]
    schema_version: int = SCHEMA_VERSION
