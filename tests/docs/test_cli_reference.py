"""docs/cli.md is what the commands say of themselves; `make docs` writes it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date():
    run = subprocess.run(
        [sys.executable, ROOT / "tools" / "cli_reference.py"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == (ROOT / "docs" / "cli.md").read_text()
    assert run.stdout.count("```text") == 4
