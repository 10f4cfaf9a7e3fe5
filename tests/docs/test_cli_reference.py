"""docs/cli.md and docs/json.md are what commands and types say; `make docs` writes them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("tool", "page", "parts"),
    [
        ("cli_reference.py", "cli.md", ("```text", 8)),
        ("json_reference.py", "json.md", ("\n### ", 13)),
    ],
)
def test_the_page_is_up_to_date(tool, page, parts):
    run = subprocess.run(
        [sys.executable, ROOT / "tools" / tool], capture_output=True, text=True, check=True
    )
    assert run.stdout == (ROOT / "docs" / page).read_text()
    text, least = parts
    assert run.stdout.count(text) >= least
