"""Commands and code of the README and of docs/ work as printed, one after the other."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What a reader has before the first block of a page: the examples, and for some pages a file.
PAGES = {
    "README.md": "",
    "docs/describe.md": "",
    "docs/format.md": 'import initlib; initlib.generate({"layers": []}, "model.safetensors")',
    "docs/models.md": "",
    "docs/python.md": "",
    "docs/verify.md": "",
}
# A file that the text before a block names, the block's language, and what is in it.
BLOCK = re.compile(
    r"(?:`(\S+)`:\n\n)?^```(console|python|yaml)\n(.*?)^```", re.MULTILINE | re.DOTALL
)
# What differs from run to run.
TIMING = re.compile(r" in [\d.]+ s( \([\d.]+[KMG]iB/s\))?")


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


def test_every_page_with_commands_is_tried():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    runnable = ("```console", "```python")
    found = {page for page in pages if any(fence in page.read_text() for fence in runnable)}
    assert {page.relative_to(ROOT).as_posix() for page in found} == PAGES.keys()


@pytest.mark.parametrize("page", PAGES)
def test_page(folder, page):
    run_python(folder, PAGES[page])
    for name, language, text in BLOCK.findall((ROOT / page).read_text()):
        if language == "console":
            run_commands(folder, text)
        elif language == "python":
            run_python(folder, text)
        elif name and not (folder / name).exists():
            (folder / name).write_text(text)


def run_python(folder, code):
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    # What a line is said to print, it prints.
    assert set(re.findall(r"print\(.*\)  # (.*)", code)) <= set(run.stdout.splitlines())


def run_commands(folder, text):
    for part in text.split("$ ")[1:]:
        command, _, output = part.partition("\n")
        script = re.sub(r"(^|\| )initgen ", rf"\1{sys.executable} -m initgen ", command)
        run = subprocess.run(
            ["sh", "-c", script],
            cwd=folder,
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{ROOT / 'cli'}"},
            check=False,
        )
        assert TIMING.sub("", run.stdout + run.stderr) == TIMING.sub("", output), command


def test_a_file_is_made_again_from_what_it_says(folder):
    run_python(folder, PAGES["docs/format.md"])
    (code,) = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs/format.md").read_text(), re.MULTILINE | re.DOTALL
    )
    run_python(folder, code)
    again = (folder / "again.safetensors").read_bytes()
    assert again == (folder / "model.safetensors").read_bytes()
