"""Path conditions as MongoDB understands them: plain conditions where these say the same, else expressions.

A plain condition can use an index. But MongoDB takes some keys for operators or places, minds the order of an object's
keys, and would let one element of a list pass one test and another the next; there an expression spells it all out.
"""

from typing import Any, Final, assert_never

from eventscope.store.filters.paths import Compares, Equals, Kind, Path, Reads, Test, kind, place
from eventscope.store.mongo.driver import Document

CHUNK: Final = 256
NULL: Final = 10  # BSON's number for null
BSON_TYPE: Final = {"text": "string", "boolean": "bool"}


def holds(path: Path, tests: tuple[Test, ...]) -> Document:
    """That one value which the path reaches passes all of the tests."""
    if not (_is_plain(path) and all(map(_is_simple, tests))):
        return _spelled_out(path, tests)
    plainly = [_plainly(dotted(path), test) for test in tests]
    if len(plainly) == 1:
        return plainly[0]
    # that each test is passed by some value is a condition more, and one that may use an index
    return {"$and": [*plainly, _spelled_out(path, tests)]}


def exists(path: Path) -> Document:
    """That the path reaches anything."""
    if _is_plain(path):
        return {dotted(path): {"$exists": True}}
    return {"$expr": {"$ne": [_reached(path), []]}}


def dotted(path: Path) -> str:
    """The path as MongoDB writes paths."""
    return ".".join((path.root, *path.keys))


def _is_plain(path: Path) -> bool:
    # MongoDB takes any digits for a place
    return all(
        key and not key.startswith("$") and not {".", "\0"} & set(key) and not key.isdigit() for key in path.keys
    )


def _is_simple(test: Test) -> bool:
    return not isinstance(test, Equals) or not any(isinstance(value, dict | list) for value in test.values)


def _plainly(name: str, test: Test) -> Document:
    match test:
        case Equals(values):
            some = [value for value in values if value is not None]
            given = {name: {"$eq": some[0]} if len(some) == 1 else {"$in": some}}
            if None not in values:
                return given
            return {"$or": [{name: {"$type": NULL}}, {name: {"$exists": False}}, *([given] if some else [])]}
        case Compares(order, than):
            return {name: {f"${order}": than}}
        case Reads(how, text):
            return {name: {"$regex": ("^" if how == "startsWith" else "") + _escaped(text)}}
        case _:
            assert_never(test)


def _escaped(text: str) -> str:
    # a pattern cannot hold a NUL as such; of the others, a letter or digit with a backslash would be a class
    return "".join(
        r"\x{0}" if char == "\0" else char if char.isalnum() or not char.isascii() else f"\\{char}" for char in text
    )


def _spelled_out(path: Path, tests: tuple[Test, ...]) -> Document:
    return {
        "$expr": {
            "$let": {
                "vars": {"reached": _reached(path)},
                "in": {
                    "$anyElementTrue": [
                        {
                            "$map": {
                                "input": {"$cond": [{"$eq": ["$$reached", []]}, [None], _with_elements("$$reached")]},
                                "as": "value",
                                "in": {"$and": [_passes("$$value", test) for test in tests]},
                            }
                        }
                    ]
                },
            }
        }
    }


def _reached(path: Path) -> Document:
    """All that is at the end of the path, as a list."""
    root = f"${path.root}"
    start = {"$cond": [{"$eq": [{"$type": root}, "missing"]}, [], [root]]}
    keys = [{"key": key, "place": -1 if (at := place(key)) is None else at} for key in path.keys]
    step = {
        "$let": {
            "vars": {"key": "$$this.key", "place": "$$this.place"},
            "in": _flat({"$map": {"input": "$$value", "as": "at", "in": _step()}}),
        }
    }
    return {"$reduce": {"input": {"$literal": keys}, "initialValue": start, "in": step}}


def _step() -> Document:
    """What the `$$key` finds in the value `$$at`, as a list."""
    objects = {"$filter": {"input": "$$at", "as": "one", "cond": {"$eq": [{"$type": "$$one"}, "object"]}}}
    in_each = _flat({"$map": {"input": objects, "as": "one", "in": _member("$$one")}})
    there = {"$cond": [{"$lt": ["$$place", {"$size": "$$at"}]}, [{"$arrayElemAt": ["$$at", "$$place"]}], []]}
    return {
        "$switch": {
            "branches": [
                {"case": {"$eq": [{"$type": "$$at"}, "object"]}, "then": _member("$$at")},
                {"case": {"$isArray": ["$$at"]}, "then": {"$cond": [{"$gte": ["$$place", 0]}, there, in_each]}},
            ],
            "default": [],
        }
    }


def _member(of: str) -> Document:
    # $getField would take neither a key that is not known beforehand nor tell null from missing
    found = {"$filter": {"input": {"$objectToArray": of}, "as": "pair", "cond": {"$eq": ["$$pair.k", "$$key"]}}}
    return {"$map": {"input": found, "as": "pair", "in": "$$pair.v"}}


def _with_elements(lists: str) -> Document:
    both = {"$concatArrays": ["$$one", ["$$one"]]}
    opened = {"$cond": [{"$isArray": ["$$one"]}, both, ["$$one"]]}
    return _flat({"$map": {"input": lists, "as": "one", "in": opened}})


def _flat(lists: Document) -> Document:
    """The lists as one. In two rounds, since each list that is added copies what was there."""
    chunk = {"$slice": ["$$lists", "$$from", CHUNK]}
    starts = {"$range": [0, {"$size": "$$lists"}, CHUNK]}
    chunks = {"$map": {"input": starts, "as": "from", "in": _joined(chunk)}}
    return {"$let": {"vars": {"lists": lists}, "in": _joined(chunks)}}


def _joined(lists: Document) -> Document:
    return {"$reduce": {"input": lists, "initialValue": [], "in": {"$concatArrays": ["$$value", "$$this"]}}}


def _passes(value: str, test: Test) -> Document:
    match test:
        case Equals(values):
            simple = [one for one in values if not _holds_objects(one)]
            spelled = [_equal(value, one) for one in values if _holds_objects(one)]
            return {"$or": [{"$in": [value, {"$literal": simple}]}, *spelled]}
        case Compares(order, than):
            return {"$and": [_is(value, kind(than)), {f"${order}": [value, {"$literal": than}]}]}
        case Reads(how, text):
            found = {"$indexOfBytes": [value, {"$literal": text}]}
            there: Document = {"$eq": [found, 0]} if how == "startsWith" else {"$gte": [found, 0]}
            return {"$cond": [_is(value, "text"), there, False]}
        case _:
            assert_never(test)


def _is(value: str, kind: Kind | None) -> Document:
    return {"$isNumber": value} if kind == "number" else {"$eq": [{"$type": value}, BSON_TYPE[kind or "text"]]}


def _holds_objects(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_holds_objects, value)))


def _equal(value: Any, wanted: Any) -> Document:
    if isinstance(wanted, dict):
        members = [
            _equal({"$getField": {"field": {"$literal": key}, "input": value}}, member)
            for key, member in wanted.items()
        ]
        size = {"$eq": [{"$size": {"$objectToArray": value}}, len(wanted)]}
        return {"$cond": [{"$eq": [{"$type": value}, "object"]}, {"$and": [size, *members]}, False]}
    if _holds_objects(wanted):
        elements = [_equal({"$arrayElemAt": [value, at]}, element) for at, element in enumerate(wanted)]
        size = {"$eq": [{"$size": value}, len(wanted)]}
        return {"$cond": [{"$isArray": [value]}, {"$and": [size, *elements]}, False]}
    return {"$eq": [value, {"$literal": wanted}]}
