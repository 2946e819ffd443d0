"""Conditions on `data` and `metadata` as clients write them, translated into the store's filters."""

import math
from collections.abc import Iterator
from typing import Any, Final

import strawberry

from eventscope.errors import BadInput
from eventscope.schema.types.scalars import JSON
from eventscope.store.filters.filter import All, Exists, Filter, Holds, Not
from eventscope.store.filters.paths import Compares, Equals, Likeness, Order, Path, Reads, Root, Test, keys_of, kind
from eventscope.store.values.json_text import INT64

MOST_PATH: Final = 512
MOST_KEYS: Final = 32
MOST_VALUES: Final = 1000
MOST_TEXT: Final = 1024
MOST_DEPTH: Final = 8
ORDERS: Final[tuple[Order, ...]] = ("gt", "gte", "lt", "lte")


@strawberry.input(
    description="A condition on the value at a path, such as `items.price`. In a list, a number selects "
    "one element (`items.0`), and any other key is looked up in each of its objects. Put a "
    "backslash before a dot or backslash that belongs to a key; the empty path is the whole "
    "value. If the path ends in a list or leads to several values, one of them must pass all "
    "tests: an element of a list, or the list as a whole. A missing value counts as null. "
    "Values of different types are never equal and have no order."
)
class PathCondition:
    path: str = strawberry.field(description="The path of the value: `order.items.price`.")
    eq: JSON | None = strawberry.field(
        default=strawberry.UNSET,
        description="Equal to this value; null matches a missing value too. 5 and 5.0 are equal; the order of "
        "keys does not matter.",
    )
    ne: JSON | None = strawberry.field(
        default=strawberry.UNSET, description="No value at the path equals this one: the opposite of `eq`."
    )
    in_: list[JSON] | None = strawberry.field(name="in", default=None, description="Equal to one of these values.")
    gt: JSON | None = strawberry.field(
        default=None,
        description="Greater than this value. Numbers, strings (by code point) and booleans are compared only "
        "with their own kind.",
    )
    gte: JSON | None = strawberry.field(default=None, description="Greater than or equal to this value.")
    lt: JSON | None = strawberry.field(default=None, description="Less than this value.")
    lte: JSON | None = strawberry.field(default=None, description="Less than or equal to this value.")
    exists: bool | None = strawberry.field(
        default=None,
        description=(
            "Whether the path leads to a value, which may be null; no other test distinguishes null from missing."
        ),
    )
    starts_with: str | None = strawberry.field(default=None, description="A string that starts with this text.")
    contains: str | None = strawberry.field(default=None, description="A string that contains this text.")


def path_filter(root: Root, input: PathCondition) -> Filter:
    """The store's filter; BadInput if the condition has no test, or is too long."""
    path = Path(root, _keys(root, input.path))
    parts: list[Filter] = []
    if tests := tuple(_tests(root, input)):
        parts.append(Holds(path, tests))
    if input.ne is not strawberry.UNSET:
        parts.append(Not(Holds(path, (Equals((_json(root, "ne", input.ne),)),))))
    if input.exists is not None:
        parts.append(Exists(path) if input.exists else Not(Exists(path)))
    if not parts:
        raise BadInput(f"{root}: the condition on {input.path!r:.80} has no test; add `eq`, `exists` or another", root)
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _keys(root: Root, path: str) -> tuple[str, ...]:
    if len(path) > MOST_PATH:
        raise BadInput(f"{root}: a path has {len(path)} characters; the limit is {MOST_PATH}", root)
    try:
        keys = keys_of(path)
    except ValueError as error:
        raise BadInput(f"{root}: the path {error}", root) from None
    if len(keys) > MOST_KEYS:
        raise BadInput(f"{root}: a path has {len(keys)} keys; the limit is {MOST_KEYS}", root)
    return keys


def _tests(root: Root, input: PathCondition) -> Iterator[Test]:
    if input.eq is not strawberry.UNSET:
        yield Equals((_json(root, "eq", input.eq),))
    if input.in_ is not None:
        if len(input.in_) > MOST_VALUES:
            raise BadInput(f"{root}: `in` has {len(input.in_)} values; the limit is {MOST_VALUES}", root)
        yield Equals(tuple(_json(root, "in", value) for value in input.in_))
    for order in ORDERS:
        if (than := getattr(input, order)) is not None:
            if kind(than) is None:
                raise BadInput(f"{root}: `{order}` on {input.path!r:.80} takes a number, a string or a boolean", root)
            yield Compares(order, _json(root, order, than))
    likeness: tuple[tuple[Likeness, str | None], ...] = (
        ("startsWith", input.starts_with),
        ("contains", input.contains),
    )
    for how, text in likeness:
        if text is not None:
            yield Reads(how, _json(root, how, text))


def _json(root: Root, name: str, value: object) -> Any:
    """The value; BadInput if the store could hold no such value, or it is too large."""
    level: list[Any] = [value]
    count = 0
    for _ in range(MOST_DEPTH + 1):
        for one in level:
            _check(root, name, one)
        count += len(level)
        if count > MOST_VALUES:
            raise BadInput(f"{root}: `{name}` contains over {MOST_VALUES} values", root)
        inner = [list(one.values()) if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [one for values in inner for one in values]
        if not level:
            return value
    raise BadInput(f"{root}: `{name}` nests values over {MOST_DEPTH} deep", root)


def _check(root: Root, name: str, value: object) -> None:
    match value:
        case None | bool() | list():
            return
        case int() if value in INT64:
            return
        case int():
            raise BadInput(f"{root}: `{name}` has an integer that does not fit into 64 bits", root)
        case float() if math.isfinite(value):
            return
        case str():
            texts = [value]
        case dict():
            texts = [str(key) for key in value]
        case _:
            raise BadInput(f"{root}: `{name}` has {str(value)[:40]}, which is not a JSON value", root)
    for text in texts:
        if len(text) > MOST_TEXT:
            raise BadInput(f"{root}: `{name}` has a text of {len(text)} characters; the limit is {MOST_TEXT}", root)
        if not text.isprintable() and any("\ud800" <= char <= "\udfff" for char in text):
            raise BadInput(f"{root}: `{name}` contains half of a surrogate pair, which is not valid text", root)
