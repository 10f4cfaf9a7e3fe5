"""The command in a process whose calls to the system fail on demand: Python's own and HDF5's.

    python faulty.py

reads requests from standard input, a line of JSON each, and answers each with another. It runs the
command in a fork of itself, which takes a few hundredths of a second where a new process takes half
a second. A call is replaced where a library keeps its address (the global offset table), so that
this needs neither a compiler nor the calling code's help.
"""

import ctypes
import errno
import json
import os
import resource
import signal
import struct
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"

LIBC = ctypes.CDLL(None, use_errno=True)
INT, SIZE, PTR, TEXT = ctypes.c_int, ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_char_p
# For each call: its names in libraries, its type, and which argument is a file's name or number.
CALLS = {
    "open": (("open", "open64"), (INT, TEXT, INT, INT), 0),
    "write": (("write",), (SIZE, INT, PTR, SIZE), 0),
    "pwrite": (("pwrite", "pwrite64"), (SIZE, INT, PTR, SIZE, SIZE), 0),
    "fsync": (("fsync",), (INT, INT), 0),
    "ftruncate": (("ftruncate", "ftruncate64"), (INT, INT, SIZE), 0),
    "rename": (("rename",), (INT, TEXT, TEXT), 1),
    "renameat": (("renameat",), (INT, INT, TEXT, INT, TEXT), 1),
    "close": (("close",), (INT, INT), 0),
    "mkdir": (("mkdir",), (INT, TEXT, INT), 0),
    "unlink": (("unlink",), (INT, TEXT), 0),
    "unlinkat": (("unlinkat",), (INT, INT, TEXT, INT), 1),
    "rmdir": (("rmdir",), (INT, TEXT), 0),
    "link": (("link",), (INT, TEXT, TEXT), 0),
    "linkat": (("linkat",), (INT, INT, TEXT, INT, TEXT, INT), 1),
}
PAGE = 4096


class Layer:
    """What stands between the command and the system's calls on files in one folder.

    Attributes:
        made: the calls so far, by name.
    """

    def __init__(self, folder, fault):
        self.folder, self.made = Path(folder), []
        self.call, self.nth, self.kind, self.lasting = fault or (None, 0, None, False)
        # The replaced functions must live on.
        self.kept = []

    def install(self, places):
        """Take the place of the functions whose addresses are kept in `places`."""
        found = {}
        for name, (names, signature, where) in CALLS.items():
            for each in names:
                found[each] = self.wrapped(name, each, signature, where)
        for address, symbol in places:
            page = address & -PAGE
            LIBC.mprotect(PTR(page), ctypes.c_size_t(2 * PAGE), 3)
            PTR.from_address(address).value = ctypes.cast(found[symbol], PTR).value

    def wrapped(self, name, symbol, signature, where):
        kind = ctypes.CFUNCTYPE(*signature, use_errno=True)
        real = ctypes.CFUNCTYPE(*signature, use_errno=True)((symbol, LIBC))

        def replacement(*args):
            kept = ctypes.get_errno()
            if self.concerns(args[where]):
                self.made.append(name)
                if name == self.call and self.due(self.made.count(name)):
                    return self.failing(real, args)
            ctypes.set_errno(kept)
            return real(*args)

        self.kept.append(kind(replacement))
        return self.kept[-1]

    def due(self, nth):
        return nth >= self.nth if self.lasting else nth == self.nth

    def concerns(self, file):
        """Tell whether a name or number is of a file in the folder, or the folder's."""
        if isinstance(file, int):
            path = Path(f"/proc/self/fd/{file}")
            path = Path(os.readlink(path)) if path.is_symlink() else Path("/")  # noqa: PTH115
        else:
            path = Path(os.path.abspath(os.fsdecode(file or b"")))  # noqa: PTH100
            if path.is_relative_to("/proc/self/fd"):
                # Ours go by the number of an open file.
                path = path.resolve()
        return path.is_relative_to(self.folder)

    def failing(self, real, args):
        """Fail, or write less than there is to write."""
        if self.kind in ("one", "half"):
            fd, data, count, *rest = args
            short = 1 if self.kind == "one" else max(1, count // 2)
            if fcntl_direct(fd):
                # As such files do, in pages.
                short = max(PAGE, short // PAGE * PAGE)
            return real(fd, data, min(short, count), *rest)
        if self.call == "close":
            # The file is closed in any case.
            real(*args)
        ctypes.set_errno(getattr(errno, self.kind))
        return -1


def fcntl_direct(fd):
    import fcntl

    return bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT)


def slots(names):
    """Yield where Python and HDF5 keep the addresses of functions, and of which."""
    objects = []
    kind = ctypes.CFUNCTYPE(INT, PTR, ctypes.c_size_t, PTR)

    def visit(info, _size, _data):
        base, name, count = (
            PTR.from_address(info).value or 0,
            TEXT.from_address(info + 8).value or b"",
            ctypes.c_uint16.from_address(info + 24).value,
        )
        headers = PTR.from_address(info + 16).value
        objects.append((base, name, headers, count))
        return 0

    LIBC.dl_iterate_phdr(kind(visit), None)
    for base, name, headers, count in objects:
        # The program itself has no name.
        if not name or b"python" in os.path.basename(name) or b"hdf5" in os.path.basename(name):  # noqa: PTH119
            for i in range(count):
                part = struct.unpack("<IIQQQQQQ", ctypes.string_at(headers + 56 * i, 56))
                if part[0] == 2:
                    yield from relocations(base, base + part[3], names)


def relocations(base, dynamic, names):
    """Yield the slots of an object whose dynamic section is at an address."""
    table = {}
    while (entry := struct.unpack("<qQ", ctypes.string_at(dynamic, 16)))[0]:
        table[entry[0]] = entry[1]
        dynamic += 16

    def address(tag):
        return table[tag] if table[tag] >= base else base + table[tag]

    texts, symbols = address(5), address(6)
    for start, size in ((23, 2), (7, 8)):
        if start not in table:
            continue
        data = ctypes.string_at(address(start), table[size])
        for offset, info, _addend in struct.iter_unpack("<QQq", data):
            # Types differ between processors; what names one of the functions is its address.
            if info >> 32:
                text = struct.unpack("<I", ctypes.string_at(symbols + 24 * (info >> 32), 4))[0]
                symbol = ctypes.string_at(texts + text).decode()
                if symbol in names:
                    yield base + offset, symbol


def run(request, places, streams, report):
    """Run the command; never returns."""
    from initgen.__main__ import main

    os.chdir(request["cwd"])
    for number, stream in enumerate(streams, 1):
        os.dup2(stream, number)
    layer = Layer(request["folder"], request["fault"])
    sys.argv = ["initgen", *request["args"]]
    for name, limit in request.get("limits", {}).items():
        resource.setrlimit(getattr(resource, name), (limit, limit))
    signal.alarm(request.get("seconds", 60))
    code = 0
    layer.install(places)
    try:
        main()
    except SystemExit as error:
        code = error.code or 0
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    made = list(layer.made)
    os.write(report, json.dumps({"code": code, "made": made}).encode())
    os._exit(0)


def answer(request, places):
    """Run the command in a fork; return what came of it."""
    with ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
        child = os.fork()
        if not child:
            run(request, places, [file.fileno() for file in files[:2]], files[2].fileno())
        status = os.waitpid(child, 0)[1]
        for file in files:
            file.seek(0)
        out, err, report = (file.read().decode() for file in files)
    # What a signal ended has no report.
    result = json.loads(report) if report else {"code": -status, "made": []}
    return {**result, "stdout": out, "stderr": err}


def serve():
    # Whatever the command imports is there before it is forked.
    import h5py  # noqa: F401
    import scipy.linalg  # noqa: F401

    import initgen.__main__  # noqa: F401
    import initlib

    with tempfile.TemporaryDirectory() as folder:
        layers = [{"name": "q", "shape": [3, 3], "initializer": "orthogonal"}]
        for name in ("m.safetensors", "m.h5"):
            manifest = Path(folder, "m.json")
            manifest.write_text(json.dumps({"layers": layers}))
            initlib.generate(manifest, Path(folder, name), threads=1)
    places = [*slots({name for names, *_ in CALLS.values() for name in names})]
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line), places)), flush=True)


if __name__ == "__main__":
    serve()
