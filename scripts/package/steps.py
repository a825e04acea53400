"""Prints the shell steps of a pipeline, each ending in a zero byte: steps.py action.yml | packaging/ci/gitlab.yml.

Reads as much of YAML as these two files use: `run: |` blocks, and the items of `script:`.
"""

import pathlib
import sys
import textwrap


def indent(line):
    return len(line) - len(line.lstrip())


def block(lines, start):
    """The lines below `start` that stand further in."""
    end = start + 1
    while end < len(lines) and (not lines[end].strip() or indent(lines[end]) > indent(lines[start])):
        end += 1
    return lines[start + 1 : end]


def steps(lines):
    for number, line in enumerate(lines):
        if line.strip() == "run: |":
            yield textwrap.dedent("\n".join(block(lines, number)))
        elif line.strip() == "script:":
            yield "\n".join(item.strip().removeprefix("- ") for item in block(lines, number))


for step in steps(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()):
    sys.stdout.write(step + "\0")
