"""Commands and code of the page on frameworks work as printed, one after the other."""

from pages import run_page


def test_page(tmp_path, monkeypatch):
    # A bar is drawn on standard error, which is held to be empty.
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    run_page(tmp_path, "docs/frameworks.md")
