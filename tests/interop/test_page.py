"""Commands and code of the pages on frameworks work as printed, one after the other."""

import pytest
from pages import run_page


@pytest.mark.parametrize("page", ["frameworks", "sharded"])
def test_page(page, tmp_path, monkeypatch):
    # A bar is drawn on standard error, which is held to be empty.
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    run_page(tmp_path, f"docs/{page}.md")
