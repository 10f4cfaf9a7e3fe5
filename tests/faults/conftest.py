"""The command with faults in its calls to the system."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SERVER = Path(__file__).parents[1] / "support" / "faulty.py"


@pytest.fixture(scope="session")
def faulty():
    """Run the command in a folder, where one call fails; return what came of it."""
    with subprocess.Popen(
        [sys.executable, SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:

        def run(arguments, folder, fault=None, **limits):
            request = {"args": [*map(str, arguments)], "cwd": str(folder), "folder": str(folder)}
            request |= {"fault": fault, "limits": limits}
            print(json.dumps(request), file=server.stdin, flush=True)
            return json.loads(server.stdout.readline())

        yield run
        server.stdin.close()
