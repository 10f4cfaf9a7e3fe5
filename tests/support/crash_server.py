"""Runs `initgen` again and again in forks of one process, and ends them at chosen moments.

It reads one request a line (JSON) from standard input, and prints one answer a line:

    argv, folder: the command's arguments, and where it runs
    at: the number of the event at which it gets `signals[0]`; before the event happens
    after: seconds after which it gets a signal, for each of `signals`
    signals: numbers
    record: list the events

Events are what a process does to files: audit events of Python's, and writes and syncs.
"""

import json
import os
import signal
import stat
import sys
import threading
import time
import traceback
from pathlib import Path

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
# What is audited beside opening files, with how many paths.
AUDITED = {
    "os.rename": 2,
    "os.link": 2,
    "os.remove": 1,
    "os.mkdir": 1,
    "os.rmdir": 1,
    "os.listdir": 1,
}


class Events:
    """Counts events in a folder, and sends a signal before one of them."""

    def __init__(self, folder, at, number, record):
        self.folder, self.at, self.number, self.record = folder, at, number, record
        self.count, self.found, self.lock = 0, [], threading.Lock()

    def note(self, what, *paths):
        if not all(f"{path}/".startswith(self.folder) for path in paths):
            return
        with self.lock:
            self.count += 1
            now = self.count
            if self.record:
                self.found.append([what, *map(str, paths)])
        if now == self.at:
            os.kill(os.getpid(), self.number)

    def audit(self, event, args):
        if event in AUDITED:
            paths = args[: AUDITED[event]]
            if all(isinstance(path, (str, os.PathLike)) for path in paths):
                self.note(event.removeprefix("os."), *map(os.fspath, paths))
        elif event == "open" and isinstance(args[0], str):
            self.note("write" if args[2] & WRITES else "read", args[0])
        elif event == "fcntl.flock":
            self.note("flock", self.path(args[0]))

    def path(self, fd):
        return str(Path(f"/proc/self/fd/{fd}").readlink()).removesuffix(" (deleted)")

    def watched(self, what, function):
        def call(fd, *args):
            self.note(what, self.path(fd))
            return function(fd, *args)

        return call

    def install(self):
        os.fsync = self.watched("sync", os.fsync)
        os.pwrite = self.watched("write", os.pwrite)
        sys.addaudithook(self.audit)


def watch_signals(module):
    """Let signals wait until the command takes care of them: Python's own start is another's."""
    stopping = set(module.STOPPING)
    signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
    watch = module.watch

    def watching():
        watch()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stopping)

    module.watch = watching


def child(request, events, begun):
    """Run the command; never return."""
    code = 70
    try:
        os.chdir(request["folder"])
        for fd, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{request['logs']}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), fd)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["initgen", *request["argv"]]
        from initgen import __main__ as command

        watch_signals(command._signals)
        events.install()
        os.write(begun, b".")
        command.main()
        code = 0
    except SystemExit as error:
        code = error.code or 0
    except BaseException:
        # What a user would see.
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        if request.get("record"):
            Path(request["logs"], "events").write_text(json.dumps(events.found))
        Path(request["logs"], "count").write_text(str(events.count))
        os._exit(code)


def run(request):
    """Run the command in a fork; return how it ended."""
    signals = request.get("signals", [signal.SIGKILL])
    events = Events(
        request["folder"] + "/", request.get("at"), signals[0], request.get("record", False)
    )
    begun, write = os.pipe()
    pid = os.fork()
    if not pid:
        child(request, events, write)
    os.read(begun, 1)
    begin = time.perf_counter()
    for delay, number in zip(request.get("after", ()), signals, strict=False):
        time.sleep(max(0.0, begin + delay - time.perf_counter()))
        # Until somebody waits for it, a process that has ended can still be sent signals.
        os.kill(pid, number)
    _, status = os.waitpid(pid, 0)
    os.close(begun)
    os.close(write)
    logs = Path(request["logs"])
    answer = {"code": os.waitstatus_to_exitcode(status), "seconds": time.perf_counter() - begin}
    for name in ("out", "err", "count", "events"):
        path = logs / name
        if path.exists() and stat.S_ISREG(path.stat().st_mode):
            answer[name] = path.read_text()
            path.unlink()
    return answer


def main():
    import initgen._app
    import initlib

    # What is imported and compiled once needs no time in the forks.
    warm = sys.argv[1]
    manifest = {"layers": [{"name": "w", "shape": [90_000], "initializer": "random_normal"}]}
    for suffix in (".safetensors", ".h5"):
        for _ in range(2):
            initlib.generate(manifest, f"{warm}/warm{suffix}", resume=True)
    assert initgen._app.app is not None
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
