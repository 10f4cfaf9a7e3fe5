"""A signal ends a run with one true line, and nothing is left; too late, it changes nothing."""

import random
import re
import signal
import subprocess
import sys
import time

import pytest
from crashes import FULL, KILLS, SCENARIOS, contents, hidden

NUMBERS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def folders(folder):
    return {path for path in folder.rglob("*") if path.is_dir()}


def stopped(stage, server, number, *, resume=False, **when):
    """Stop a run; find that what it says is true. Return whether it was stopped."""
    stage.reset()
    before = folders(stage.folder)
    options = ["--resume"] if resume else []
    run = server.run(
        stage.folder, *stage.argv, *stage.force, *options, "--quiet", signals=[number], **when
    )
    found = contents(stage.folder)
    if run["code"] == 0:
        assert run["err"] == ""
        assert found == stage.new
        return False
    assert run["code"] == CODES[number], run["err"]
    kept = [name for name in found if hidden(name)]
    left = "nothing was changed"
    if kept:
        assert resume
        left = f"{len(kept)} of 3 shards are kept, and --resume goes on from there"
        data = [content for name, content in stage.new.items() if not name.endswith(".json")]
        assert all(found.pop(name) in data for name in kept)
    assert run["err"] == f"initgen: stopped by {number.name}; {left}\n"
    assert found == stage.old
    if not kept:
        assert folders(stage.folder) == before
    stage.finish(server, resume=resume)
    return True


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number.name)
def test_at_random_moments(stage, server, number):
    draw = random.Random(f"{stage.scenario} {number}")  # noqa: S311
    stage.reset()
    whole = server.run(stage.folder, *stage.argv, *stage.force)
    for _ in range(-(-KILLS // len(SCENARIOS) // len(NUMBERS))):
        moment = draw.uniform(0, whole["seconds"])
        stopped(stage, server, number, resume=draw.random() < 0.5, after=[moment])


def test_before_each_event(stage, server):
    stage.reset()
    whole = server.run(stage.folder, *stage.argv, *stage.force)
    count = int(whole["count"])
    draw = random.Random(f"{stage.scenario}")  # noqa: S311
    events = range(1, count + 1)
    ended = [
        stopped(stage, server, NUMBERS[at % 3], resume=at % 2 == 0, at=at)
        for at in (events if FULL else sorted({1, *draw.sample(events, 3), count}))
    ]
    assert ended[0]
    # Files have their names, and nothing can be undone.
    assert not ended[-1]


SLOW = """
import time, numpy as np
def slow(shape, dtype=None):
    open('started', 'w').close()
    time.sleep(60)
    return np.zeros(shape, dtype)
"""


@pytest.fixture
def slow(tmp_path):
    """A run whose threads take a minute; each test ends it."""
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "m.yaml").write_text("layers: [{name: w, shape: [3], initializer: 'slow.py:slow'}]")
    argv = [sys.executable, "-m", "initgen", "generate", "m.yaml", "--allow-code"]
    process = subprocess.Popen(
        argv,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background would hand down that it ignores the signals.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not (tmp_path / "started").exists():
        time.sleep(0.01)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_a_second_signal_acts_at_once(tmp_path, slow, second):
    assert [path.name for path in tmp_path.iterdir() if hidden(path)]
    slow.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        slow.wait(0.5)
    begin = time.perf_counter()
    slow.send_signal(second)
    _, errors = slow.communicate(timeout=30)
    assert time.perf_counter() - begin < 10
    assert slow.returncode == CODES[second]
    assert errors == f"initgen: stopped by {second.name}, at once\n"
    left = {path.name for path in tmp_path.iterdir()} - {"__pycache__"}
    assert left == {"slow.py", "m.yaml", "started"}


def test_while_the_command_loads(tmp_path):
    """From the first lines on, a signal is one line."""
    program = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'initgen._app':\n"
        "            os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from initgen.__main__ import main; main()"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert run.returncode == 143
    assert run.stderr == "initgen: stopped by SIGTERM; nothing was changed\n"


def with_code(folder):
    """Run a manifest of which c.py is the code."""
    (folder / "m.yaml").write_text("layers: [{name: w, shape: [3], initializer: 'c.py:f'}]")
    return subprocess.run(
        [sys.executable, "-m", "initgen", "generate", "m.yaml", "--allow-code"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_while_a_manifest_s_code_is_loaded(tmp_path):
    """Not the code has failed: it was stopped."""
    (tmp_path / "c.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGTERM)\n")
    run = with_code(tmp_path)
    assert run.returncode == 143
    assert run.stderr == "initgen: stopped by SIGTERM; nothing was changed\n"


def test_where_nothing_can_be_raised(tmp_path):
    """Python drops what destructors raise, and says so; the signal comes again."""
    (tmp_path / "c.py").write_text(
        "import os, signal, time\n"
        "class Dying:\n"
        "    def __del__(self): os.kill(os.getpid(), signal.SIGTERM); time.sleep(0)\n"
        "Dying()\n"
        "time.sleep(60)\n"
    )
    begin = time.perf_counter()
    run = with_code(tmp_path)
    assert time.perf_counter() - begin < 50
    assert run.returncode == 143
    assert run.stderr == "initgen: stopped by SIGTERM; nothing was changed\n"


def test_code_that_takes_no_notice_is_stopped_all_the_same(tmp_path):
    (tmp_path / "c.py").write_text(
        "import os, signal, numpy as np\n"
        "try: os.kill(os.getpid(), signal.SIGTERM)\n"
        "except BaseException: pass\n"
        "def f(shape, dtype=None): return np.ones(shape, dtype)\n"
    )
    run = with_code(tmp_path)
    assert run.returncode == 143
    assert re.fullmatch(r"initgen: stopped by SIGTERM; nothing was changed\n", run.stderr)
    assert not (tmp_path / "m.safetensors").exists()


@pytest.mark.parametrize(
    "do", ["raise ValueError('turned') from error", "raise ValueError('lost') from None"]
)
def test_what_a_library_makes_of_a_signal_is_one_all_the_same(tmp_path, do):
    """pydantic turns what handlers raise into errors of its own."""
    (tmp_path / "c.py").write_text(
        "import os, signal\n"
        f"try: os.kill(os.getpid(), signal.SIGTERM)\nexcept BaseException as error: {do}\n"
    )
    run = with_code(tmp_path)
    assert run.returncode == 143
    assert run.stderr == "initgen: stopped by SIGTERM; nothing was changed\n"
