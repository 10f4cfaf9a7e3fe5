"""Print docs/cli.md: what `--help` says of each command, 80 columns wide.

make docs
"""

from __future__ import annotations

import os
import subprocess
import sys

INTRODUCTION = """\
# The command

Results go to standard output, progress and messages to standard error. With `--json` a command
prints one JSON object. Bars are drawn on a terminal only.

| exit code | means |
| --- | --- |
| 0 | done |
| 1 | the answer is no: `verify` and `diff` found a difference |
| 2 | the request is wrong: a misspelt option, a mistake in the manifest, a file that exists |
| 3 | it could not be done: no space, a damaged or unreadable file, no memory |
| 128 + n | signal n stopped it; nothing was changed, or it says which shards `--resume` keeps |

Kernels, the compiled code that makes the numbers, are kept in `~/.cache/initgen/kernels`, or in
the folder that `$INITGEN_CACHE_DIR` names. What is there may be deleted at any time.

`make docs` writes this page from the commands' own `--help`.
"""
COMMANDS = ("", "generate", "describe", "verify", "diff", "manifest", "initializers", "schema")


def main() -> None:
    print(INTRODUCTION)
    for command in COMMANDS:
        words = [word for word in (command, "--help") if word]
        run = subprocess.run(
            [sys.executable, "-m", "initgen", *words],
            env={**os.environ, "COLUMNS": "80", "TERM": "dumb"},
            capture_output=True,
            text=True,
            check=True,
        )
        print(
            f"## {' '.join(['initgen', command]).strip()}\n\n```text\n{run.stdout.strip()}\n```\n"
        )


if __name__ == "__main__":
    main()
