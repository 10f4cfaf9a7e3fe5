"""Running the commands and the code of a page, one after the other."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# A file that the text before a block names, the block's language, and what is in it.
BLOCK = re.compile(
    r"(?:`(\S+)`:\n\n)?^```(console|python|yaml)\n(.*?)^```", re.MULTILINE | re.DOTALL
)
# What differs from run to run, and with the framework's version.
CHANGES = re.compile(r" in [\d.]+ s( \([\d.]+[KMG]iB/s\))?| \d+\.\d+\.\d+(?= initialises)")


def run_page(folder, page):
    """Run all that is on a page in a folder."""
    for name, language, text in BLOCK.findall((ROOT / page).read_text()):
        if language == "console":
            run_commands(folder, text)
        elif name and not (folder / name).exists():
            (folder / name).write_text(text)
        elif language == "python":
            run_python(folder, text)


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
        script = script.replace("torchrun ", f"{sys.executable} -m torch.distributed.run ")
        run = subprocess.run(
            ["sh", "-c", script],
            cwd=folder,
            capture_output=True,
            text=True,
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": f"{ROOT}:{ROOT / 'cli'}",
                # torchrun sets it, too, and warns that it did.
                "OMP_NUM_THREADS": "1",
            },
            check=False,
        )
        assert CHANGES.sub("", run.stdout + run.stderr) == CHANGES.sub("", output), command
