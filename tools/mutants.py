"""Mutation testing: tell how many of mutmut's mutants the tests noticed, and which they did not.

    CI=true mutmut run
    python tools/mutants.py [STATUS ...]

The statuses are those of mutmut; the mutants of those that are named are listed, by default of
those that no test noticed. `mutmut show MUTANT` has the change itself. Exit code 1 if less than
90 % were noticed in an area.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter, defaultdict

AREAS = {
    "stream": r"initlib\._stream\.",
    "planning": r"initlib\._(plan|seeds|shards|manifest\._expand)\.",
    "writing": r"initlib\.",
}
# A mutant that is endless, or ends the process, is noticed as well.
NOTICED = {"killed", "timeout", "segfault"}
LEAST = 0.9
LINE = re.compile(r"\s+((?:[a-z_0-9]+\.)+)\S+: (.+)")


def main() -> None:
    results = subprocess.run(
        ["mutmut", "results", "--all", "true"],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    counts: dict[str, dict[str, Counter[str]]] = {area: defaultdict(Counter) for area in AREAS}
    for line in results:
        if found := LINE.fullmatch(line):
            module, status = found.groups()
            area = next(area for area, names in AREAS.items() if re.match(names, module))
            counts[area][module.removesuffix(".")][status] += 1
            if status in (sys.argv[1:] or {"survived", "no tests"}):
                print(line.strip())
    shares = []
    for area, modules in counts.items():
        for name, found in [*modules.items(), (area, sum(modules.values(), Counter()))]:
            noticed = sum(found[status] for status in NOTICED)
            tried = found.total() - found["not checked"]
            print(f"{name}: {noticed} of {tried} noticed, {found.total()} there are")
        shares.append(noticed / max(tried, 1))
    sys.exit(min(shares) < LEAST)


if __name__ == "__main__":
    main()
