"""Whatever the system had not yet brought to the disk: nothing, the old file or a whole one.

No power is cut: the run's own calls are recorded, and what may be left of them is worked out.
"""

import json

import pytest
from crashes import INDEX, SCENARIOS, hidden
from power_cut import moments


def events_of(stage, server, *options):
    """Run, and return the events."""
    run = server.run(stage.folder, *stage.argv, *stage.force, *options, record=True)
    assert run["code"] == 0
    return json.loads(run["events"])


def is_folder(stage, path):
    return path in {str(stage.folder), str(stage.folder / "m")}


def visible(found):
    return {name: inode for name, inode in found.items() if not hidden(name)}


def check(stage, events, before=None):
    """Find at each moment either nothing, the old files or whole ones, and these at the end."""
    found = moments(stage.folder, stage.old if before is None else before, events)
    for states in found:
        for state, whole in states:
            check_state(stage, state, whole)
    for state, whole in found[-1]:
        assert visible(state).keys() == stage.new.keys()
        assert whole >= set(visible(state).values())
    return sum(map(len, found))


def check_state(stage, state, whole):
    there = visible(state)
    for name, inode in there.items():
        assert inode.old == name or (inode in whole and name in stage.new), name
    new = {name for name, inode in there.items() if inode.old is None}
    data = {name for name in stage.new if not name.endswith(".json")}
    index = f"m/{INDEX}"
    if index in new:
        assert data <= new
    elif index in there:
        assert not new
    if stage.old and not all(name in there and there[name].old for name in stage.old):
        # The new one is on the disk, under whatever names.
        assert len(whole.intersection(state.values())) >= len(data)


@pytest.mark.parametrize("options", [[], ["--resume"]], ids=["plain", "resume"])
def test_at_any_moment(stage, server, options):
    stage.reset()
    events = events_of(stage, server, *options)
    assert check(stage, events) > len(events)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_syncs_that_are_left_out_are_found_out(stage, server, kind):
    """The check has teeth."""
    stage.reset()
    events = events_of(stage, server)
    left_out = [
        e for e in events if e[0] == "sync" and is_folder(stage, e[1]) == (kind == "folder")
    ]
    assert left_out
    with pytest.raises(AssertionError):
        check(stage, [event for event in events if event not in left_out])


@pytest.mark.parametrize("stage", [s for s in SCENARIOS if s.shards], ids=str, indirect=True)
def test_shards_that_are_kept_are_on_the_disk(stage, server):
    """Once the next one is begun, all of them."""
    stage.reset()
    events = events_of(stage, server, "--resume")
    found = moments(stage.folder, stage.old, events)
    begun = [number for number, event in enumerate(events) if event[0] == "write"]
    for number, shard in enumerate(range(1, 4)):
        name = f"m/.initgen-model.safetensors-{shard}.new.tmp"
        first = next(i for i in begun if events[i][1].endswith(name))
        for state, whole in found[first]:
            assert len(whole.intersection(state.values())) == number
