"""What may be on a disk after a power cut, by what the system promises: no more than was synced.

A file's data are there once it was synced after its last write. What was made, renamed or removed
in a folder is there once the folder was synced. Of what wasn't yet, any part may be there.
"""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path


@dataclass(eq=False)
class Inode:
    """A file, whatever its names are.

    Attributes:
        old: its name before the run, if it was there.
        writes: how many there were.
        synced: whether all of them are on the disk.
    """

    old: str | None = None
    writes: int = 0
    synced: bool = True


class Disk:
    """A folder's files, as a run's events change them."""

    def __init__(self, folder, names):
        self.folder = folder
        # What is on the disk for sure, what the run sees, and the changes that make the difference.
        self.durable = {name: Inode(old=name) for name in names}
        self.seen = dict(self.durable)
        self.pending = []
        self.made = []

    def name(self, path):
        return Path(path).relative_to(self.folder).as_posix()

    def change(self, changes):
        self.pending.append(changes)
        apply(self.seen, changes)

    def happen(self, what, *paths):
        """Let an event happen."""
        names = [self.name(path) for path in paths]
        if what == "write":
            if names[0] not in self.seen:
                self.made.append(Inode())
                self.change({names[0]: self.made[-1]})
            inode = self.seen[names[0]]
            inode.writes, inode.synced = inode.writes + 1, False
        elif what == "sync" and names[0] in self.seen:
            self.seen[names[0]].synced = True
        elif what == "sync":
            self.durable, self.pending = dict(self.seen), []
        elif what in {"rename", "link", "remove"}:
            # What isn't there can't be, and the call fails.
            if names[0] in self.seen:
                inode, gone = self.seen[names[0]], {} if what == "link" else {names[0]: None}
                self.change({**dict.fromkeys(names[1:], inode), **gone})
        else:
            assert what in {"read", "flock", "listdir", "mkdir", "rmdir"}, what

    def states(self):
        """Yield what may be found if the power fails now."""
        # Each doubles the number of states.
        assert len(self.pending) < 14
        for count in range(len(self.pending) + 1):
            for changes in combinations(self.pending, count):
                found = dict(self.durable)
                for change in changes:
                    apply(found, change)
                yield found


def apply(names, changes):
    for name, inode in changes.items():
        names.pop(name, None)
        if inode is not None:
            names[name] = inode


def moments(folder, names, events):
    """Return what may be found after each event, as pairs: files by name, and those that are whole.

    Args:
        folder: the run's.
        names: of the files in it before.
        events: of the run.
    """
    whole = Disk(folder, names)
    for event in events:
        whole.happen(*event)
    disk, found = Disk(folder, names), []
    for event in events:
        disk.happen(*event)
        ready = {
            inode
            for inode, last in zip(disk.made, whole.made, strict=False)
            if inode.synced and inode.writes == last.writes
        }
        found.append([(state, ready) for state in disk.states()])
    return found
