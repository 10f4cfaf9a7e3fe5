"""SIGKILL at any moment leaves nothing, the old file or a right one, and the next run succeeds."""

import random
import signal

from crashes import FULL, KILLS, SCENARIOS

# Whether a run is gone on with, and whether it was made for that; a kill asks for nothing.
RESUME = "", "after", "always"


def tried(stage, server, resume, **when):
    """Kill a run, look at what is there, and run again; return the killed run."""
    stage.reset()
    options = ["--resume"] if resume == "always" else []
    killed = server.run(stage.folder, *stage.argv, *stage.force, *options, **when)
    assert killed["code"] in (-signal.SIGKILL, 0)
    whole = stage.check()
    kept = stage.finish(server, resume=bool(resume))
    assert kept == (whole if resume else set())
    return killed


def test_at_random_moments(stage, server, record_property):
    draw = random.Random(f"{stage.scenario}")  # noqa: S311
    stage.reset()
    whole = server.run(stage.folder, *stage.argv, *stage.force)
    ended = 0
    for _ in range(-(-KILLS // len(SCENARIOS))):
        resume = draw.choice(RESUME)
        moment = draw.uniform(0, whole["seconds"])
        killed = tried(stage, server, resume, after=[moment])
        ended += killed["code"] == 0
    record_property("ended", ended)


def test_before_each_event(stage, server):
    """Before each opening, write, sync, rename and removal, so after each of them, too."""
    stage.reset()
    whole = server.run(stage.folder, *stage.argv, *stage.force, record=True)
    count = int(whole["count"])
    assert count > 10
    draw = random.Random(f"{stage.scenario}")  # noqa: S311
    events = range(1, count + 1)
    for at in events if FULL else sorted(draw.sample(events, 4)):
        killed = tried(stage, server, RESUME[at % 3], at=at)
        # Threads may have a write fewer.
        assert killed["code"] == -signal.SIGKILL or at > count - 3
