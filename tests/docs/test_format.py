"""docs/format.md: behind each MUST stands a test that exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
RULES = re.findall(r"^- (.*(?:\n  .*)*)", (ROOT / "docs/format.md").read_text(), re.MULTILINE)


def test_each_rule_names_its_tests():
    assert len(RULES) >= 20
    for rule in RULES:
        assert "MUST" in rule
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", rule)
        assert named, rule
        for path, function in named:
            assert f"def {function}(" in (ROOT / path).read_text(), rule
