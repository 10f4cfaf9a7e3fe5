"""docs/reliability.md: behind each promise stand tests that exist."""

import re

from pages import ROOT

TEXT = (ROOT / "docs/reliability.md").read_text()
PROMISES = re.findall(r"^- (.*(?:\n  .*)*)", TEXT, re.MULTILINE)
SECTIONS = re.findall(r"^## (.*)", TEXT, re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_each_promise_names_its_tests():
    assert len(PROMISES) >= 20
    for promise in PROMISES[len(SECTIONS) :]:
        assert TEST.search(promise), promise


def test_these_tests_exist():
    for path, function in TEST.findall(TEXT):
        assert f"def {function}(" in (ROOT / path).read_text(), (path, function)
