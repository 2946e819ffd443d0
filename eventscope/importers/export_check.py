"""Looks an export through before anything of it is published: whether it is as it was when it was written."""

import re
from pathlib import Path
from typing import Final

from eventscope.errors import BadInput
from eventscope.exporters import form
from eventscope.importers.files import lines_of, open_file

# as an export begins each line
BEGINNING: Final = re.compile(rb'\{"messageId":"(?:[^"\\]|\\.)*","position":(\d{1,19}),"cursor":"')
MOST_TOLD: Final = 5


def check(path: str) -> tuple[int, str]:
    """How many lines the file has, and what people should know of it: that an export in it has no end.

    BadInput, with the lines to blame, when an export in it was changed. Of what begins as no export nothing is said.
    """
    name, count = Path(path).name, 0
    ending, doubts, before = form.Ending(), list[str](), 0
    is_export = False  # whether what lies behind the last end begins as an export
    with open_file(path) as file:
        for count, raw in enumerate(lines_of(file), 1):
            text = form.stripped(count, raw)
            if (end := form.end(text)) is not None:
                if (fault := ending.fault(end)) is not None:
                    raise BadInput(_told([*doubts, f"{name}:{count}: {fault}"]), "source")
                doubts, before, is_export = [], 0, False
                continue
            ending.add(text)
            if not text or len(doubts) > MOST_TOLD:
                continue
            found = BEGINNING.match(text)
            is_export |= found is not None and before == 0 and not doubts
            if found is None or not text.endswith(b"}"):
                doubts.append(f"{name}:{count}: this is no line as it was exported")
            elif int(found[1]) <= before:
                doubts.append(f"{name}:{count}: position {int(found[1])} comes after {before}")
            before = int(found[1]) if found else before
    return count, _unended(name, count) if is_export else ""


def _unended(name: str, count: int) -> str:
    return (
        f"{name}:{count}: this export ends without the line that says how much there is: it was cut off here, or the"
        " line was taken out. What is there is imported"
    )


def _told(faults: list[str]) -> str:
    *doubts, last = faults
    more = ["and more"] if len(doubts) > MOST_TOLD else []
    return "; ".join([*doubts[:MOST_TOLD], *more, last]) + ". Nothing was imported"
