"""Mutation testing: tell how many of mutmut's mutants the tests noticed, and which they did not.

    mutmut results --all true | python tools/mutants.py

`mutmut show MUTANT` has the change itself. Exit code 1 if less than 90 % were noticed in an area.
"""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict

AREAS = {
    "stream": r"initlib\._stream\.",
    "planning": r"initlib\._(plan|seeds|shards|manifest\._expand)\.",
    "writing": r"initlib\.",
}
# A mutant that is endless, or ends the process, is noticed as well; one without a test is not.
# mutmut calls suspicious what ends by other signals than it knows, such as SIGABRT.
NOTICED = {"killed", "timeout", "segfault", "suspicious"}
LEAST = 0.9
LINE = re.compile(r"\s+((?:[a-z_0-9]+\.)+)\S+: (.+)")


def main() -> None:
    counts: dict[str, dict[str, Counter[str]]] = {area: defaultdict(Counter) for area in AREAS}
    for line in sys.stdin:
        if found := LINE.fullmatch(line.rstrip()):
            module, status = found.groups()
            area = next(area for area, names in AREAS.items() if re.match(names, module))
            counts[area][module.removesuffix(".")][status] += 1
            if status not in NOTICED | {"not checked", "skipped"}:
                print(line.strip())
    shares = []
    for area, modules in counts.items():
        for name, found in [*modules.items(), (area, sum(modules.values(), Counter()))]:
            noticed = sum(found[status] for status in NOTICED)
            tried = found.total() - found["not checked"] - found["skipped"]
            share = noticed / max(tried, 1)
            print(f"{name:36}{noticed:6} of{tried:6} noticed, {share:6.1%}; {found.total()} in all")
        shares.append(share)
    sys.exit(min(shares) < LEAST)


if __name__ == "__main__":
    main()
