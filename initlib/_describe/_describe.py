"""What is in a checkpoint, or would be, and whether it is what its initializers promise."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any

from initlib import _manifest
from initlib._checkpoint import Checkpoint, Stored, open_checkpoint
from initlib._describe._figures import Row, group, groups, histogram, statistics
from initlib._describe._measure import Measurement
from initlib._describe._outlines import fans, outline
from initlib._describe._selection import Selection
from initlib._describe._sources import Manifested, Provenances, Source
from initlib._describe._spectra import spectrum
from initlib._description import QUANTILES, Description, Judgement, Outline, TensorDescription
from initlib._dtypes import dtype_name
from initlib._errors import RequestError
from initlib._expected import FALSE_ALARMS, Judge, Promise
from initlib._formats import format_for
from initlib._moments import Summary
from initlib._plan import make_plan
from initlib._workers import Progress, thread_count

Target = str | os.PathLike[str] | Mapping[str, Any] | IO[str]


def describe(
    target: Target,
    *,
    manifest: Target | None = None,
    filter: str | Sequence[str] = (),
    tensor: str | None = None,
    depth: int = 0,
    sort: str | None = None,
    layout: str | None = None,
    format: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Description | Outline:
    """Look at a checkpoint, or at what a manifest would make.

    A checkpoint's values are read once, in bounded memory. Where its own provenance or `manifest`
    tells a tensor's initializer, the values are held against it.

    Args:
        target: a safetensors or HDF5 file, a folder or an index of safetensors shards, a `.keras`
            archive; or a manifest, as `generate` takes it, of which only `filter` and `format` are
            options.
        manifest: tells the initializers of a checkpoint, instead of its own provenance.
        filter: a glob or globs of tensor names: others are left out.
        tensor: the name of the one tensor to look at, with its singular values.
        depth: with it come figures of groups: tensors whose names begin alike until so many dots or
            slashes.
        sort: "name" (so does None), "dtype" or "verdict", or a figure, of which the largest comes
            first.
        layout: "keras" for shapes (...kernel, in, out), "torch" for (out, in, ...kernel); None is
            what provenance or manifest say, else torch for safetensors and keras for others.
        format: of the file that a manifest would make, "safetensors" if it is None.
        threads: how many threads to use; None is one for each core. The result is the same.
        progress: is called with the bytes read and the total, now and then.

    Returns:
        A `Description` of a checkpoint, an `Outline` of a manifest.

    Raises:
        RequestError: an argument or the manifest is wrong.
        StorageError: the checkpoint can't be read, is damaged, or is none.
    """
    globs = (filter,) if isinstance(filter, str) else tuple(filter)
    selection = Selection(globs, tensor, depth, sort or "name", layout)
    selection.check()
    if not isinstance(target, str | os.PathLike) or _manifest.is_manifest(target):
        _refuse(
            "checkpoints, not for manifests",
            manifest=manifest,
            tensor=tensor,
            depth=depth or None,
            sort=sort,
            layout=layout,
            threads=threads,
        )
        return outline(_manifest.read(target), globs, format_for("", format or "safetensors"))
    _refuse("manifests, not for checkpoints", format=format)
    begin = time.perf_counter()
    workers = thread_count(threads)
    with open_checkpoint(target) as checkpoint:
        source: Source = Provenances.of(checkpoint.metadata)
        if manifest is not None:
            plan = make_plan(_manifest.read(manifest), skip_code=True, skip_absent=True)
            source = Manifested.of(plan)
        found = _Survey(checkpoint, source, selection).describe(workers, progress)
    return replace(found, seconds=time.perf_counter() - begin)


def _refuse(what: str, **options: object) -> None:
    """Raise RequestError if an option was given that isn't for what is described."""
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise RequestError(f"{' and '.join(given)} {'is' if len(given) == 1 else 'are'} for {what}")


@dataclass
class _Survey:
    """A checkpoint, who knows what to expect of it, and what of it is to be shown."""

    checkpoint: Checkpoint
    source: Source
    selection: Selection

    def describe(self, threads: int, progress: Progress | None) -> Description:
        """Read the values and put together what is said of them."""
        checkpoint, selection = self.checkpoint, self.selection
        rows = list(self._rows(selection.of(checkpoint), threads, progress))
        rows.sort(key=lambda row: selection.key(row[0]))
        return Description(
            path=str(checkpoint.path),
            format=checkpoint.format,
            files=checkpoint.names,
            made_by=Provenances.of(checkpoint.metadata).made_by,
            source=self.source.name,
            layout=self._layout(),
            false_alarms=FALSE_ALARMS,
            total=group("", rows),
            groups=groups(rows, selection.depth) if selection.depth else (),
            tensors=tuple(tensor for tensor, _ in rows),
            unread=checkpoint.unread,
            missing=self._missing(),
            seconds=0.0,
        )

    def _layout(self) -> str:
        usual = "torch" if self.checkpoint.format == "safetensors" else "keras"
        return self.selection.layout or self.source.layout or usual

    def _missing(self) -> tuple[str, ...]:
        """Return what the manifest has and the checkpoint lacks, unless parts were asked for."""
        if self.selection.globs or self.selection.tensor is not None:
            return ()
        found = {stored.entry.name for stored in self.checkpoint.tensors}
        return tuple(name for name in self.source.names if name not in found)

    def _rows(
        self, tensors: Sequence[Stored], threads: int, progress: Progress | None
    ) -> Iterator[Row]:
        """Yield what there is to say of each tensor, and its moments."""
        promises = [self.source.promise(stored.entry) for stored in tensors]
        judge = Judge(sum(promise is not None for promise in promises))
        for index, summary in Measurement(self.checkpoint, tensors).run(threads, progress):
            tensor = self._tensor(tensors[index], summary, promises[index], judge)
            yield tensor, summary.moments

    def _tensor(
        self, stored: Stored, summary: Summary, promise: Promise | None, judge: Judge
    ) -> TensorDescription:
        entry, layout = stored.entry, self._layout()
        detailed = self.selection.tensor is not None
        conflicts = tuple(self.source.conflicts(entry))
        judgement = judge(promise, summary) if promise else None
        quantiles = summary.quantiles(QUANTILES)
        if conflicts:
            judgement = Judgement("off", problems=conflicts)
        return TensorDescription(
            name=entry.name,
            dtype=dtype_name(entry.dtype),
            shape=entry.shape,
            **fans(entry.shape, layout),
            parameters=summary.size,
            nbytes=entry.nbytes,
            file=self.checkpoint.names[stored.file],
            statistics=statistics(summary),
            quantiles=quantiles,
            histogram=histogram(summary, quantiles, promise),
            expected=promise.expected if promise else None,
            judgement=judgement,
            spectrum=spectrum(self.checkpoint, stored, layout) if detailed else None,
        )
