"""The Python code in docs/ runs as printed, one page's blocks in one process and one folder."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {
    page.name: re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    for page in DOCS.glob("*.md")
}


def test_the_pages_have_code():
    assert {name for name, blocks in PAGES.items() if blocks} == {"python.md", "format.md"}


@pytest.mark.parametrize("name", ["python.md", "format.md"])
def test_code_runs(tmp_path, name):
    prepare = (
        'import initlib; initlib.generate({"layers": []}, "model.safetensors")\n'
        if name == "format.md"
        else ""
    )
    run = subprocess.run(
        [sys.executable, "-c", prepare + "\n".join(PAGES[name])],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert (tmp_path / "model.safetensors").is_file()
    if name == "format.md":
        again = (tmp_path / "again.safetensors").read_bytes()
        assert again == (tmp_path / "model.safetensors").read_bytes()
