"""What a manifest would make, and what in it looks like a mistake."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from initlib._description import Expected, Outline, PlannedTensor
from initlib._dtypes import dtype_name
from initlib._expected import promise
from initlib._formats import Format
from initlib._manifest import Manifest
from initlib._plan import TensorPlan, make_plan
from initlib._provenance import Provenance
from initlib.initializers import Orthogonal, VarianceScaling, compute_fans, distribution

# Axes of convolution kernels are hardly ever longer.
LONGEST_KERNEL = 16


def outline(manifest: Manifest, globs: Sequence[str], file_format: Format) -> Outline:
    """Describe what a manifest makes.

    Args:
        manifest: the manifest.
        globs: of tensors' names; others are left out.
        file_format: of the file.

    Raises:
        RequestError: a tensor can't be made, a glob matches none, or the format can't hold them.
    """
    plan = make_plan(manifest, only=globs, skip_code=True, skip_absent=True)
    # What a tensor looks like depends on those beside it, which may be left out.
    whole = make_plan(manifest, skip_code=True, skip_absent=True) if globs else plan
    provenance = Provenance(plan)
    places = provenance.metadata()
    plan.check(file_format, places)
    offsets, size = file_format.layout(plan.entries, places)
    found = dict(zip((entry.name for entry in plan.entries), offsets, strict=True))
    suspect = _Suspicions(whole.tensors)
    planned = [_planned(each, found.get(each.entry.name, 0), suspect) for each in whole.tensors]
    rows = tuple(row for row in planned if row.name in found)
    totals = plan.parameters, plan.nbytes, size
    sha256, seed = provenance.manifest_sha256, plan.manifest.seed
    return Outline(manifest.source, file_format.name, sha256, seed, *totals, rows)


def _planned(tensor: TensorPlan, offset: int, suspect: _Suspicions) -> PlannedTensor:
    """Return what is to be said of one tensor."""
    entry, target = tensor.entry, tensor.target
    expected = promise(tensor.initializer, target, str(tensor.spec)).expected
    return PlannedTensor(
        name=entry.name,
        dtype=dtype_name(entry.dtype),
        shape=entry.shape,
        layout=target.layout,
        **fans(entry.shape, target.layout),
        parameters=target.size,
        nbytes=entry.nbytes,
        offset=offset,
        seed=tensor.seed,
        line=tensor.where.line,
        expected=expected,
        warnings=tuple(suspect(tensor, expected)),
    )


class _Suspicions:
    """Looks at tensors side by side for what is seldom meant."""

    def __init__(self, tensors: Sequence[TensorPlan]) -> None:
        self._shapes = {tensor.entry.name: tensor.entry.shape for tensor in tensors}
        self._first: dict[object, str] = {}

    def __call__(self, tensor: TensorPlan, expected: Expected) -> Iterator[str]:
        """Yield what looks like a mistake in one tensor, a phrase each."""
        shape, target = tensor.entry.shape, tensor.target
        if tensor.absent is not None:
            yield tensor.absent
        if len(shape) > 1 and target.size and expected.low == expected.high == 0:
            yield "all zeros: nothing that follows it gets a signal"
        if expected.stddev is not None and expected.stddev > 1:
            yield f"its stddev is {expected.stddev:.4g}, more than 1"
        if isinstance(tensor.initializer, VarianceScaling | Orthogonal):
            yield from self._transposed(tensor)
        if distribution(tensor.initializer, target) is not None:
            first = self._first.setdefault((target.stream, str(tensor.spec)), tensor.entry.name)
            if first != tensor.entry.name:
                yield f"the same values as {first!r}: its initializer has a seed of its own"

    def _transposed(self, tensor: TensorPlan) -> Iterator[str]:
        """Compare a matrix with its bias, and a convolution's kernel with common sizes."""
        shape, layout = tensor.entry.shape, tensor.target.layout
        if len(shape) < 2 or getattr(tensor.initializer, "input_axes", None):
            return
        other = "keras" if layout == "torch" else "torch"
        first, last = max(shape[:-2], default=0), max(shape[2:], default=0)
        kernel, swapped = (last, first) if layout == "torch" else (first, last)
        inputs = shape[1] if layout == "torch" else shape[0]
        matrix = len(shape) == 2 and shape[0] != shape[1]
        bias = self._bias(tensor.entry.name) if matrix else ()
        if bias == (inputs,) or swapped <= LONGEST_KERNEL < kernel:
            yield f"its shape looks like layout {other}, but is read as {layout}"

    def _bias(self, name: str) -> tuple[int, ...]:
        """Return the shape of the bias beside a weight, if there is one."""
        for separator in "./":
            head, found, _ = name.rpartition(separator)
            if found:
                return self._shapes.get(f"{head}{separator}bias", ())
        return ()


def fans(shape: tuple[int, ...], layout: str) -> dict[str, int]:
    """Return fan_in and fan_out by their names."""
    fan_in, fan_out = compute_fans(shape, layout=layout)
    return {"fan_in": fan_in, "fan_out": fan_out}
