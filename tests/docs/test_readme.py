"""The README's commands and code work as printed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
# What differs from run to run.
TIMING = re.compile(r" in [\d.]+ s \([\d.]+[KMG]iB/s\)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder as a reader has it, in which the commands run one after the other."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "examples", folder / "examples")
    return folder


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def commands():
    """Each command of the console blocks, with what it prints."""
    for block in blocks("console"):
        for part in block.split("$ ")[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def test_commands(folder):
    initgen = f"{sys.executable} -m initgen"
    seen = 0
    for command, output in commands():
        script = re.sub(r"(^|\| )initgen ", rf"\1{initgen} ", command)
        run = subprocess.run(
            ["sh", "-c", script],
            cwd=folder,
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{ROOT / 'cli'}"},
            check=False,
        )
        printed = run.stdout + run.stderr
        assert TIMING.sub("", printed) == TIMING.sub("", output), command
        seen += 1
    assert seen >= 8


def test_python(folder):
    (code,) = blocks("python")
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == "203530\n"


def test_the_manifest_shown_is_the_example():
    (shown,) = blocks("yaml")
    example = (ROOT / "examples" / "mlp.yaml").read_text()
    assert shown.strip() in example


def test_links_lead_somewhere():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "examples" / "README.md"]
    for page in pages:
        for link in re.findall(r"\]\(([^)#]+)", page.read_text()):
            assert link.startswith("http") or (page.parent / link).exists(), (page.name, link)


def test_make_has_the_targets_that_the_readme_names():
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"(?:^    |`)make ([a-z-]+)", TEXT, re.MULTILINE))
    assert {"demo", "test"} <= named
    assert all(re.search(rf"^{name}:", makefile, re.MULTILINE) for name in named)
