"""Commands and code of the README and of docs/ work as printed, one after the other."""

import re
import shutil

import pytest
from pages import ROOT, run_page, run_python

# What a reader has before the first block of a page: the examples, and for some pages a file.
PAGES = {
    "README.md": "",
    "docs/clusters.md": "",
    "docs/describe.md": "",
    "docs/format.md": 'import initlib; initlib.generate({"layers": []}, "model.safetensors")',
    "docs/models.md": "",
    "docs/python.md": "",
    "docs/verify.md": "",
}
# Run where the frameworks are, in tests/interop.
FRAMEWORKS = {"docs/frameworks.md", "docs/sharded.md"}


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


def test_every_page_with_commands_is_tried():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    runnable = ("```console", "```python")
    found = {page for page in pages if any(fence in page.read_text() for fence in runnable)}
    assert {page.relative_to(ROOT).as_posix() for page in found} == PAGES.keys() | FRAMEWORKS


@pytest.mark.parametrize("page", PAGES)
def test_page(folder, page):
    run_python(folder, PAGES[page])
    run_page(folder, page)


def test_a_file_is_made_again_from_what_it_says(folder):
    run_python(folder, PAGES["docs/format.md"])
    (code,) = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs/format.md").read_text(), re.MULTILINE | re.DOTALL
    )
    run_python(folder, code)
    again = (folder / "again.safetensors").read_bytes()
    assert again == (folder / "model.safetensors").read_bytes()
