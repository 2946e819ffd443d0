"""A log whose events are as heavy as the limits allow, and the heaviest legal queries about it, by kind."""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

MANY: Final = 20  # events of each heavy kind
HEAVY: Final = 3 * MANY
LONG: Final = "t" * 900
OBJECTS: Final = {"l": [{"a": n} for n in range(75_000)]}
LETTERS: Final = {"t": "x" * 900_000}
NUMBERS: Final = {"l": list(range(130_000))}
FIELDS: Final = "id position type timestamp data metadata"


def messages() -> Iterator[bytes]:
    """What is stored: events of about 900 KB of objects, of text and of numbers, one conversation, many long types."""
    number = 0
    for data, kind in ((OBJECTS, "heavy.objects"), (LETTERS, "heavy.letters"), (NUMBERS, "heavy.numbers")):
        for n in range(MANY):
            number += 1
            message: dict[str, Any] = {"type": kind, "messageId": f"m{number}", "data": data, "correlationId": "c"}
            message |= {"aggregateType": "thing", "aggregateId": f"t{n % 3}", "userId": "ada"}
            if n:
                message["causationId"] = f"m{number - 1}"
            yield orjson.dumps(message)
    for n in range(2_000):
        yield orjson.dumps({"type": f"flood.{n:05}.{LONG}", "messageId": f"f{n}", "data": {"n": n}})


def another() -> bytes:
    """One more event, as expensive to inspect as the limits allow."""
    return orjson.dumps({"type": "heavy.objects", "messageId": "another", "data": OBJECTS})


def _conditions(n: int, path: str = "l.a") -> list[dict[str, Any]]:
    return [{"path": path, "ne": -k} for k in range(1, n)]


def _roots(n: int, question: str) -> str:
    return "{" + " ".join(f"r{k}: {question}" for k in range(n)) + "}"


def questions() -> Mapping[str, tuple[str, dict[str, Any]]]:
    """The heaviest known queries of each kind: documents, and their variables."""
    nodes = f"nodes {{ {FIELDS} }}"
    filtered = f"query ($f: EventFilter) {{ events(filter: $f, first: 500) {{ {nodes} totalCount {{ atLeast }} }} }}"
    counted = "query ($f: StatsFilter) { stats(filter: $f) { totalEvents eventTypeBreakdown { type count } } }"
    again = " ".join(f"a{n}: data" for n in range(28))
    deep = "effects(first: 3) { nodes { data " * 6 + "}}" * 6
    patterns = [f"*{n:x}*{n}*" for n in range(1000)]
    wide = {"or": [{"eventTypes": [f"*{k}x{n}*" for n in range(100)]} for k in range(45)]}
    objects = [{"a": 1, **{f"b{k}": k for k in range(400)}, "z": n} for n in range(40)]
    return {
        "pages of objects": (_roots(20, f'events(filter: {{eventTypes: ["heavy.*"]}}, first: 500) {{ {nodes} }}'), {}),
        "a page of objects": (f'{{ events(filter: {{eventTypes: ["heavy.objects"]}}, first: 9) {{ {nodes} }} }}', {}),
        "a page from memory": (f"{{ events(first: 900) {{ {nodes} edges {{ node {{ data }} }} }} }}", {}),
        "data 28 times": (
            f'{{ events(filter: {{eventTypes: ["heavy.*"]}}, first: 20) {{ nodes {{ {again} }} }} }}',
            {},
        ),
        "replays": (_roots(20, f"replay(first: 300) {{ {nodes} }}"), {}),
        "a trace": (f'{{ trace(correlationId: "c") {{ nodes {{ event {{ {FIELDS} }} }} }} }}', {}),
        "traces": (_roots(10, 'trace(correlationId: "c", first: 20) { nodes { event { data metadata } } }'), {}),
        "effects of effects": (f'{{ event(id: "m1") {{ data {deep} }} }}', {}),
        "related": (f'{{ event(id: "m1") {{ related(first: 100) {{ {nodes} }} }} }}', {}),
        "own events": (
            f'{{ aggregates(filter: {{type: "thing"}}) {{ nodes {{ events(first: 100) {{ {nodes} }} }} }} }}',
            {},
        ),
        "99 conditions": (filtered, {"f": {"data": _conditions(99)}}),
        "99 conditions that never hold": (filtered, {"f": {"data": [{"path": "l", "eq": -k} for k in range(1, 99)]}}),
        "contains": (filtered, {"f": {"data": [{"path": "t", "contains": "x" * 900 + str(n)} for n in range(99)]}}),
        "large objects": (filtered, {"f": {"data": [{"path": "l", "in": objects}]}}),
        "1000 patterns": (filtered, {"f": {"eventTypes": patterns}}),
        "4,500 patterns": (filtered, {"f": wide}),
        "4,500 patterns that are not wanted": (filtered, {"f": {"not": wide}}),
        "counts by 1000 patterns": (counted, {"f": {"eventTypes": patterns}}),
        "counts": (_roots(4, "stats { eventTypeBreakdown { type count } aggregateTypeBreakdown { type count } }"), {}),
        "histograms": (_roots(20, "stats { histogram(interval: HOUR, by: TYPE) { start count key } }"), {}),
        "types": ("{ eventTypes(first: 1000) { type count fields { path } } }", {}),
        "types 20 times": (_roots(10, "eventTypes(first: 1000) { type count }"), {}),
        "ids": (filtered, {"f": {"or": [{"ids": [f"x{k}-{n}" for n in range(400)]} for k in range(45)]}}),
        "variables of many values": (filtered, {"f": {"ids": ["a"]}, "g": [[n, n] for n in range(20_000)]}),
        "a variable that nests": (filtered, {"f": {"ids": ["a"]}, "g": _nested(100)}),
        "a document of many tokens": ("{ log { " + "head " * 400 + "... @include(if: true) { head } " * 49 + "} }", {}),
        "a document of many fields": (_roots(20, "log { head firstPosition " + "retention { days } " * 5 + "}"), {}),
        "a long text in a document": ('{ event(id: "' + "x" * 200_000 + '") { id } }', {}),
        "the schema": ("{ __schema { types { name fields { name args { name type { name } } type { name } } } } }", {}),
    }


def _nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def subscriptions() -> Sequence[tuple[str, dict[str, Any]]]:
    """Twenty subscriptions, each as expensive as the limits allow."""
    query = "subscription ($f: EventFilter) { events(filter: $f) { ... on Event { id } ... on FellBehind { cursor } } }"
    return [(query, {"f": {"data": [*_conditions(90), {"path": "l.a", "ne": -n - 1000}]}}) for n in range(20)]


def composed(dice: random.Random) -> tuple[str, dict[str, Any]]:
    """A random heavy query, composed of parts of the others."""
    selections = [
        "data",
        "metadata",
        "id type",
        "x: data",
        "y: data",
        "cause { data }",
        "effects(first: 5) { nodes { data } }",
    ]
    selections += ["related(first: 20) { nodes { data type } }", "aggregate { events(first: 5) { nodes { data } } }"]
    chosen = " ".join(dict.fromkeys(dice.choices(selections, k=dice.randint(1, 4))))
    size = dice.choice([1, 5, 20, 100, 500])
    page = dice.choice(["events", "replay"])
    roots = " ".join(
        f"r{n}: {page}(filter: $f, first: {size}) {{ {dice.choice(['nodes', 'n: nodes'])} {{ {chosen} }} }}"
        for n in range(dice.choice([1, 1, 2, 5, 20]))
    )
    return f"query ($f: EventFilter) {{ {roots} }}", {"f": _filter(dice, 3)}


def _filter(dice: random.Random, depth: int) -> dict[str, Any]:
    turn = dice.random()
    if depth and turn < 0.3:
        name = dice.choice(["and", "or"])
        return {name: [_filter(dice, depth - 1) for _ in range(dice.randint(1, 4))]}
    if depth and turn < 0.4:
        return {"not": _filter(dice, depth - 1)}
    if turn < 0.6:
        stars = [
            "*".join(dice.choices(["", "t", "tt", "heavy", ".", "0", "9"], k=dice.randint(2, 12))) for _ in range(30)
        ]
        return {"eventTypes": dice.choice([["heavy.*"], ["*"], ["flood.*"], stars, stars * 10])}
    path = dice.choice(["l", "l.a", "l.5", "t", "n", "l.b.c", ""])
    test: dict[str, Any] = dice.choice(
        [
            {"eq": dice.choice([5, "x", {"a": 7}, [1, 2]])},
            {"ne": 5},
            {"gt": 3, "lt": 100_000},
            {"in": list(range(500))},
            {"exists": dice.random() < 0.5},
            {"contains": "x" * dice.choice([1, 500, 1000])},
            {"startsWith": "x" * 1000},
        ]
    )
    return {"data": [{"path": path, **test}] * dice.choice([1, 1, 10, 30])}
