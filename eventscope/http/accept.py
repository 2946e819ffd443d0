"""Parses `Accept` and `Accept-Encoding`: what a client accepts, and with which preference. No I/O."""

import re
from typing import Final

# RFC 9110, 12.4.2; also without a digit before the point, as some clients send it
WEIGHT: Final = re.compile(r"(?:[01](?:\.\d*)?|\.\d+)")


def parse_accept(header: str) -> list[tuple[str, float]]:
    """The names in the header, in its order and in lower case, with their weights from 0 to 1.

    A weight of 0 means "not this"; a malformed weight counts as 0.
    """
    weights = []
    for part in header.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        weights.append((name, next((w for one in parameters if (w := _weight(one)) is not None), 1.0)))
    return weights


def _weight(parameter: str) -> float | None:
    name, _, value = parameter.partition("=")
    if name.strip() != "q":
        return None
    value = value.strip()
    return min(float(value), 1.0) if WEIGHT.fullmatch(value) else 0.0
