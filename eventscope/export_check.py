"""Looks an export through before anything of it is published: whether it is as it was when it was written."""

import re
from pathlib import Path
from typing import Final

from eventscope import exported
from eventscope.errors import BadInput
from eventscope.event_files import lines_of, open_file

# as an export begins each line
BEGINNING: Final = re.compile(rb'\{"messageId":"(?:[^"\\]|\\.)*","position":(\d+),')
MOST_TOLD: Final = 5


def check(path: str) -> int:
    """How many lines the file has. BadInput, with the lines to blame, when an export in it was changed or cut.

    A file without the line that ends an export is none, so that nothing is said of it.
    """
    name, count = Path(path).name, 0
    ending, doubts, before = exported.Ending(), list[str](), 0
    with open_file(path) as file:
        for count, raw in enumerate(lines_of(file), 1):
            text = raw.strip()
            if text.startswith(exported.LAST):
                if (fault := ending.fault(text)) is not None:
                    raise BadInput(_told([*doubts, f"{name}:{count}: {fault}"]), "source")
                doubts, before = [], 0
                continue
            ending.add(raw)
            if len(doubts) > MOST_TOLD:
                continue
            found = BEGINNING.match(text)
            if found is None or not text.endswith(b"}"):
                doubts.append(f"{name}:{count}: this is no line as it was exported")
            elif int(found[1]) <= before:
                doubts.append(f"{name}:{count}: position {int(found[1])} comes after {before}")
            before = int(found[1]) if found else before
    return count


def _told(faults: list[str]) -> str:
    *doubts, last = faults
    more = ["and more"] if len(doubts) > MOST_TOLD else []
    return "; ".join([*doubts[:MOST_TOLD], *more, last]) + ". Nothing was imported"
