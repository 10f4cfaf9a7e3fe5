"""Interrupts wait, and come in the end."""

import os
import signal
import threading

import pytest

import initlib
from initlib import _interrupts
from initlib._interrupts import checker, uninterrupted


class CalledError(Exception):
    """What a handler raises."""


@pytest.fixture
def handled(monkeypatch):
    """Let SIGTERM raise, and count."""
    calls = []

    def handler(number, frame):
        calls.append(number)
        raise CalledError(len(calls))

    before = signal.signal(signal.SIGTERM, handler)
    yield calls
    assert signal.signal(signal.SIGTERM, before) is handler
    assert not _interrupts._held


def come():
    signal.raise_signal(signal.SIGTERM)


def held(*steps):
    """Take some steps, of which interrupts wait for the last."""
    with uninterrupted():
        for step in steps:
            step()


def test_it_waits_for_the_end(handled):
    steps = []
    with pytest.raises(CalledError):
        held(come, lambda: steps.append("after"))
    assert (handled, steps) == ([signal.SIGTERM], ["after"])


def test_a_second_one_does_not_wait(handled):
    steps = []
    with pytest.raises(CalledError) as caught:
        held(come, come, lambda: steps.append("after"))
    assert steps == []
    assert str(caught.value) == "1"
    assert str(caught.value.__context__) == "2"


def test_inside_another_it_waits_for_that(handled):
    steps = []
    with pytest.raises(CalledError):
        held(lambda: held(come), held, lambda: steps.append("after"))
    assert steps == ["after"]
    with pytest.raises(CalledError):
        held(come, lambda: held(come), lambda: steps.append("never"))
    assert steps == ["after"]


def test_it_comes_after_an_error_too(handled):
    with pytest.raises(CalledError) as caught:
        held(come, lambda: int("no number"))
    assert isinstance(caught.value.__context__, ValueError)


def test_handlers_that_raise_nothing_stop_nothing():
    calls = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: calls.append(number))
    try:
        check = checker()
        with uninterrupted():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            check()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert calls == [signal.SIGTERM] * 2


def in_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_it_can_be_asked_for_by_threads(handled):
    check, raised = checker(), []

    def ask():
        try:
            check()
        except CalledError as error:
            raised.append(error)

    with pytest.raises(CalledError) as caught:
        held(come, lambda: in_thread(ask))
    assert raised == [caught.value]


def test_other_threads_are_left_alone(handled):
    steps = []

    def work():
        with uninterrupted():
            steps.append(checker())

    in_thread(work)
    with pytest.raises(CalledError):
        # What another thread does is not what is interrupted.
        held(come, steps[0], lambda: steps.append("after"))
    assert steps[1:] == ["after"]


def test_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with uninterrupted():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("verb", ["generate", "verify", "describe", "diff"])
def test_each_verb_ends_soon(tmp_path, handled, verb):
    manifest = {"layers": [{"name": "w", "shape": [8 << 20], "initializer": "random_normal"}]}
    paths = [tmp_path / "a.safetensors", tmp_path / "b.h5"]
    for path in paths:
        initlib.generate(manifest, path)
    told = []

    def progress(done, total):
        told.append(done)
        if len(told) == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    arguments = {
        "generate": (manifest, tmp_path / "c.h5"),
        "verify": (paths[0],),
        "describe": (paths[0],),
        "diff": (*paths,),
    }[verb]
    with pytest.raises(CalledError):
        getattr(initlib, verb)(*arguments, progress=progress, threads=1)
    # Some chunks were under way.
    assert told[-1] < 24 << 20
    assert sorted(tmp_path.iterdir()) == paths
