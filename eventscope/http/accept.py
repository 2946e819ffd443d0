"""Reading `Accept` and its kin: what a client takes, and how gladly. No I/O."""

import re
from typing import Final

# RFC 9110, 12.4.2; without a digit before the point, as some send it
WEIGHT: Final = re.compile(r"(?:[01](?:\.\d*)?|\.\d+)")


def accepted(header: str) -> list[tuple[str, float]]:
    """The names in the header with their weights from 0 to 1, in the order given, in lower case.

    A weight of 0 means "not this", however it is written; what is no weight at all counts as 0.
    """
    found = []
    for part in header.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        found.append((name, next((w for one in parameters if (w := _weight(one)) is not None), 1.0)))
    return found


def _weight(parameter: str) -> float | None:
    name, _, value = parameter.partition("=")
    if name.strip() != "q":
        return None
    value = value.strip()
    return min(float(value), 1.0) if WEIGHT.fullmatch(value) else 0.0
