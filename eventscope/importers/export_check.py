"""Checks that an exported file is unchanged, before any of it is published."""

import re
from pathlib import Path
from typing import Final

from eventscope.errors import BadInput
from eventscope.exporters import form
from eventscope.importers.files import lines_of, open_file

# how each line of an export begins
BEGINNING: Final = re.compile(rb'\{"messageId":"(?:[^"\\]|\\.)*","position":(\d{1,19}),"cursor":"')
MOST_FAULTS: Final = 5  # a message names at most this many


def check(path: str) -> tuple[int, str]:
    """The number of lines in the file, and a note for the user if an export in it has no last line.

    BadInput, naming the lines, if an export in it was changed. Lines of other kinds are not checked.
    """
    name, count = Path(path).name, 0
    check, faults, before = form.EndCheck(), list[str](), 0
    is_export = False  # whether the lines after the latest end line begin an export
    with open_file(path) as file:
        for count, raw in enumerate(lines_of(file), 1):
            text = form.strip_line(count, raw)
            if (end := form.parse_end(text)) is not None:
                if (fault := check.fault(end)) is not None:
                    raise BadInput(_summary([*faults, f"{name}:{count}: {fault}"]), "source")
                faults, before, is_export = [], 0, False
                continue
            check.add(text)
            if not text or len(faults) > MOST_FAULTS:
                continue
            match = BEGINNING.match(text)
            is_export |= match is not None and before == 0 and not faults
            if match is None or not text.endswith(b"}"):
                faults.append(f"{name}:{count}: this line is not as it was exported")
            elif int(match[1]) <= before:
                faults.append(f"{name}:{count}: position {int(match[1])} comes after {before}")
            before = int(match[1]) if match else before
    return count, _incomplete(name, count) if is_export else ""


def _incomplete(name: str, count: int) -> str:
    return (
        f"{name}:{count}: this export ends without its last line, which says how many events it holds: it was cut off"
        " here, or the line was removed. The lines that it has are imported"
    )


def _summary(faults: list[str]) -> str:
    *others, last = faults
    more = ["and more"] if len(others) > MOST_FAULTS else []
    return "; ".join([*others[:MOST_FAULTS], *more, last]) + ". Nothing was imported"
