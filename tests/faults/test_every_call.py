"""Every call that writes files fails, each time it is made and in each way that it can.

`make test` lets the last and one before it fail, in one of the ways each; with FAULTS=all, as in
`make test-faults`, all are tried.
"""

import errno
import json
import os
from itertools import cycle, product
from pathlib import Path

import pytest

import initlib

ALL = os.environ.get("FAULTS") == "all"
MANIFEST = {
    "layers": [
        {"name": "a/b", "shape": [600, 1000], "initializer": "he_normal"},
        {"name": "q", "shape": [40, 30], "initializer": "orthogonal"},
        {"name": "z", "shape": [300, 1000], "initializer": "zeros"},
    ]
}
INDEX = "model.safetensors.index.json"
# What is there before, by name, and the options that write over it.
TARGETS = {
    "m.safetensors": {"m.safetensors": "old"},
    "m.h5": {"m.h5": "old"},
    "model": {
        "model/config.json": "old",
        "model/model-00001-of-00003.safetensors": "old 1",
        "model/model-00001-of-00002.safetensors": "old 2",
        f"model/{INDEX}": "old index",
    },
    "new": {},
}
# What other commands write, and how.
REPORTS = {
    "page.html": ["describe", "../x.safetensors", "--html", "page.html", "--quiet"],
    "m.yaml": ["manifest", "../x.safetensors", "-o", "m.yaml", "--force"],
}
FOLDER = ["--max-shard-size", "2MB", "--copy-from", "../source"]
ERRORS = ("EIO", "ENOSPC", "EDQUOT")
# What a call does before anything of the new is under its own name, and so leaves all as it was.
CALLS = ("open", "write", "pwrite", "ftruncate", "fsync", "close", "rename")


# What a run makes without a fault, and the calls that it makes.
UNDISTURBED = {}


def contents(folder):
    """The bytes of every file in a folder, by name."""
    files = (path for path in sorted(folder.rglob("*")) if not path.is_dir())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


class Case:
    """One target, which is written again and again, each time with another fault."""

    def __init__(self, faulty, tmp_path, target):
        self.faulty, self.tmp_path, self.target = faulty, tmp_path, target
        (tmp_path / "m.json").write_text(json.dumps(MANIFEST))
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "config.json").write_text("{}")
        self.old = {name: text.encode() for name, text in TARGETS.get(target, {}).items()}
        if target in REPORTS:
            initlib.generate(MANIFEST, tmp_path / "x.safetensors")
            self.old = {target: b"old"}
        self.times = 0
        if target not in UNDISTURBED:
            done = self.run(None)
            assert (done["code"], done["stderr"]) == (0, "")
            UNDISTURBED[target] = contents(self.folder), done["made"]
        self.new, self.made = UNDISTURBED[target]
        assert set(self.new) & {target, f"{target}/{INDEX}"}

    def run(self, fault):
        """Run the command in a new folder with what was there before."""
        self.times += 1
        self.folder = self.tmp_path / f"run{self.times}"
        self.folder.mkdir()
        for name, content in self.old.items():
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).write_bytes(content)
        return self.again(fault)

    def again(self, fault=None):
        """Run the command in the same folder."""
        if self.target in REPORTS:
            return self.faulty(REPORTS[self.target], self.folder, fault)
        options = [] if "." in self.target else FOLDER
        options = [*options, "--threads", "1", "--memory", "1MiB", "--force", "--quiet"]
        arguments = ["generate", "../m.json", "-o", self.target, *options]
        return self.faulty(arguments, self.folder, fault)

    def ends(self, fault):
        """Run with a fault; return the exit code, the message and what is in the folder."""
        done = self.run(fault)
        found = contents(self.folder)
        assert "Traceback" not in done["stderr"]
        if done["code"] == 0:
            assert (done["stderr"], found) == ("", self.new), fault
        else:
            assert done["code"] == 3, (fault, done)
            assert done["stderr"].count("\n") == 1, (fault, done)
            assert done["stderr"].startswith(f"initgen: {self.target}: "), (fault, done)
            assert "/proc/" not in done["stderr"], (fault, done)
        # A folder that wasn't there is not there again.
        assert (self.folder / "new").exists() == (self.target == "new" and found != {})
        return done["code"], done["stderr"], found


def faults(case, call, kinds):
    """Yield which of the times that a call is made fails, and in which way."""
    count = case.made.count(call)
    assert count
    if ALL:
        yield from product(range(1, count + 1), kinds)
    else:
        yield from zip(sorted({count // 2 + 1, count}), cycle(kinds), strict=False)


@pytest.fixture
def case(request, faulty, tmp_path):
    return Case(faulty, tmp_path, request.param)


def cases(*calls):
    """Parametrize a test by targets, and calls that are made for each of them."""
    pairs = [(target, call) for target in TARGETS for call in calls]
    own = [call for call in calls if call not in ("pwrite", "ftruncate")]
    pairs += [(target, call) for target in REPORTS for call in own]
    if not ALL:
        pairs = pairs[:: 1 + (calls != CALLS)]
    return pytest.mark.parametrize(("case", "call"), pairs, indirect=["case"])


@cases(*CALLS)
def test_a_failure_leaves_what_was_there(case, call):
    for nth, kind in faults(case, call, ERRORS):
        code, message, found = case.ends([call, nth, kind, False])
        if code == 0:
            # What goes past the page cache can go through it, and what is closed at the end is on
            # the disk.
            assert call in ("open", "close"), (nth, kind)
        elif "may be lost" in message:
            # Only bringing the folder to the disk comes after the file's own name.
            assert found == case.new
            assert call in ("open", "fsync", "close"), (nth, kind)
        else:
            assert found == case.old, (nth, kind, message)
            assert os.strerror(getattr(errno, kind)) in message


@cases("write", "pwrite", "fsync", "ftruncate", "open")
def test_what_a_signal_interrupts_is_done_again(case, call):
    for nth, kind in faults(case, call, ("EINTR",)):
        code, _, found = case.ends([call, nth, kind, False])
        # HDF5 gives up when it is interrupted while it opens a file or says how long it is.
        own = case.target == "m.h5" and call in ("open", "ftruncate")
        assert code == 0 or (own and found == case.old), (call, nth)


@cases("write", "pwrite")
def test_a_short_write_is_continued(case, call):
    for nth, kind in faults(case, call, ("one", "half")):
        assert case.ends([call, nth, kind, False])[0] == 0, (call, nth, kind)


@cases("write", "pwrite")
def test_every_write_is_short(case, call):
    assert case.ends([call, 1, "half", True])[0] == 0


@cases("write", "pwrite", "fsync")
def test_a_failure_that_lasts(case, call):
    """As a disk does that has failed, or is full."""
    for nth, kind in faults(case, call, ("EIO",)):
        code, message, found = case.ends([call, nth, kind, True])
        assert code == 3
        assert found == (case.new if "may be lost" in message else case.old)


@pytest.mark.parametrize("case", TARGETS, indirect=True)
def test_what_cannot_be_removed_is_hidden_and_goes_the_next_time(case):
    for nth, kind in faults(case, "unlink", ("EIO",)):
        done = case.run(["unlink", nth, kind, True])
        left = contents(case.folder)
        assert (done["code"], done["stderr"]) in [(0, ""), (3, f"initgen: {case.target}: ...")]
        assert {name: left[name] for name in case.new} == case.new
        hidden = [name for name in left if Path(name).name.startswith(".initgen-")]
        assert left.keys() == {*case.new, *hidden}
        assert case.again()["code"] == 0
        assert contents(case.folder) == case.new


@pytest.mark.parametrize("case", ["new"], indirect=True)
def test_a_folder_that_cannot_be_made(case):
    for nth, kind in faults(case, "mkdir", ERRORS):
        code, message, found = case.ends(["mkdir", nth, kind, False])
        assert (code, found) == (3, {})
        assert os.strerror(getattr(errno, kind)) in message


@pytest.mark.parametrize("case", ["model"], indirect=True)
def test_a_disk_where_files_have_one_name_only(case):
    (call,) = {"link", "linkat"} & set(case.made)
    assert case.ends([call, 1, "EOPNOTSUPP", True])[0] == 0
