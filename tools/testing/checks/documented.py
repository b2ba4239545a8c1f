#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""documented.py COVERAGE FILE...: checks the documentation of Rust files.

COVERAGE is what rustdoc-coverage wrote. Fails if a public item of one of the files lacks
documentation or, where rustdoc expects one, an example."""

import json
import sys


def main(coverage, *names):
    with open(coverage, encoding="utf-8") as text:
        files = {name.removeprefix("../"): counts for name, counts in json.load(text).items()}
    incomplete = False
    for name in names:
        counts = files[name]
        print(name, counts)
        incomplete |= (counts["with_docs"] != counts["total"] or
                       counts["with_examples"] != counts["total_examples"])
    sys.exit(incomplete)


if __name__ == "__main__":
    main(*sys.argv[1:])
