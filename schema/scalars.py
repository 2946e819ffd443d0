"""The scalars: times, 64-bit integers and JSON. What cannot be read is refused before anything runs."""

from collections.abc import Mapping
from typing import Final, NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition

from eventscope.errors import BadInput
from eventscope.store import moment

Moment = NewType("Moment", int)
BigInt = NewType("BigInt", int)
JSON = NewType("JSON", object)

INT64: Final = range(-(2**63), 2**63)


def _parse_moment(value: object) -> Moment:
    if not isinstance(value, str):
        raise BadInput(f"{str(value)[:40]} is not a time like 2026-11-23T07:00:00Z")
    try:
        return Moment(moment.from_text(value))
    except ValueError as error:
        raise BadInput(str(error)) from None


def _parse_big_int(value: object) -> BigInt:
    digits = isinstance(value, str) and value.removeprefix("-").isascii() and value.removeprefix("-").isdigit()
    if digits and len(str(value)) <= 20:
        value = int(str(value))
    if not isinstance(value, int) or isinstance(value, bool) or value not in INT64:
        raise BadInput(f"{str(value)[:40]} is not an integer of 64 bits")
    return BigInt(value)


SCALARS: Final[Mapping[object, ScalarDefinition]] = {
    Moment: strawberry.scalar(
        name="DateTime",
        description="A time in ISO 8601, given back in UTC with up to six decimals: 2026-11-23T07:00:00.250000Z. "
        "A time without a zone is taken to be in UTC.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=moment.to_text,
        parse_value=_parse_moment,
    ),
    BigInt: strawberry.scalar(
        name="BigInt",
        description="An integer of 64 bits, written as a number. As input, text with its digits will do too.",
        serialize=int,
        parse_value=_parse_big_int,
    ),
    JSON: strawberry.scalar(name="JSON", description="Any JSON value, as it was published."),
}
