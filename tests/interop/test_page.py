"""Commands and code of the page on frameworks work as printed, one after the other."""

from pages import run_page


def test_page(tmp_path):
    run_page(tmp_path, "docs/frameworks.md")
