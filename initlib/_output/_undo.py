"""Files that take each other's places, all of them or none."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from initlib._output._claim import Claim


class Undo:
    """Steps that are taken back when a later one fails, as far as the disk lets them be.

    What was there before is hidden until the claim is given back. So no step loses anything, and
    each can be taken back by renaming, which takes no space.
    """

    def __init__(self, claim: Claim, number: int) -> None:
        """Begin; hidden files of the claim from this number on are free."""
        self._claim, self._number = claim, number
        self._before = claim.kept.copy(), claim.note
        self._steps = ExitStack()

    def __enter__(self) -> Undo:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._steps.pop_all()
            return
        # Where this fails, another try finds the new files, which are kept.
        with suppress(OSError):
            self._steps.close()
            self._claim.kept, self._claim.note = self._before

    def remove(self, path: Path) -> None:
        """Remove a file, which may be gone already."""
        with suppress(FileNotFoundError):
            self._hide(path, keep=False)

    def rename(self, new: Path, path: Path) -> None:
        """Let a new file take a name, which another may have."""
        with suppress(FileNotFoundError):
            self._hide(path, keep=True)
        new.replace(path)
        self._steps.callback(path.replace, new)

    def _hide(self, path: Path, *, keep: bool) -> None:
        """Give a file a hidden name; to `keep` its own besides is possible on most disks."""
        hidden = self._claim.beside(self._number)
        self._number += 1
        linked = False
        if keep:
            with suppress(OSError):
                os.link(path, hidden, follow_symlinks=False)
                linked = True
        if not linked:
            os.rename(path, hidden)  # noqa: PTH104
        self._steps.callback(hidden.replace, path)
