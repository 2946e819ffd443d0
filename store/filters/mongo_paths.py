"""Path conditions in MongoDB's form: plain conditions where these mean the same, otherwise expressions.

A plain condition can use an index. But MongoDB takes some keys for operators or list indexes, cares about the order of
an object's keys, and lets different elements of a list pass different tests. In these cases an expression spells out
what is meant.
"""

from typing import Any, Final, assert_never

from eventscope.store.filters.paths import Compares, Equals, Kind, Path, Reads, Test, index_of, kind
from eventscope.store.mongo.driver import Document

CHUNK: Final = 256
NULL: Final = 10  # BSON's number for null
BSON_TYPE: Final = {"text": "string", "boolean": "bool"}


def holds(path: Path, tests: tuple[Test, ...]) -> Document:
    """Matches if one value at the end of the path passes all of the tests."""
    if not (_is_plain(path) and all(map(_is_simple, tests))):
        return _spelled_out(path, tests)
    plainly = [_plainly(dotted(path), test) for test in tests]
    if len(plainly) == 1:
        return plainly[0]
    # the plain conditions (some value passes each test) are weaker, but may use an index
    return {"$and": [*plainly, _spelled_out(path, tests)]}


def exists(path: Path) -> Document:
    """Matches if the path reaches any value."""
    if _is_plain(path):
        return {dotted(path): {"$exists": True}}
    return {"$expr": {"$ne": [_values_at(path), []]}}


def dotted(path: Path) -> str:
    """The path in MongoDB's notation."""
    return ".".join((path.root, *path.keys))


def _is_plain(path: Path) -> bool:
    # MongoDB takes any digits for a list index
    return all(
        key and not key.startswith("$") and not {".", "\0"} & set(key) and not key.isdigit() for key in path.keys
    )


def _is_simple(test: Test) -> bool:
    return not isinstance(test, Equals) or not any(isinstance(value, dict | list) for value in test.values)


def _plainly(name: str, test: Test) -> Document:
    match test:
        case Equals(values):
            non_null = [value for value in values if value is not None]
            condition = {name: {"$eq": non_null[0]} if len(non_null) == 1 else {"$in": non_null}}
            if None not in values:
                return condition
            return {"$or": [{name: {"$type": NULL}}, {name: {"$exists": False}}, *([condition] if non_null else [])]}
        case Compares(order, than):
            return {name: {f"${order}": than}}
        case Reads(how, text):
            return {name: {"$regex": ("^" if how == "startsWith" else "") + _escape(text)}}
        case _:
            assert_never(test)


def _escape(text: str) -> str:
    # A pattern cannot contain NUL itself. Letters and digits stay unescaped: with a backslash they would be classes.
    return "".join(
        r"\x{0}" if char == "\0" else char if char.isalnum() or not char.isascii() else f"\\{char}" for char in text
    )


def _spelled_out(path: Path, tests: tuple[Test, ...]) -> Document:
    return {
        "$expr": {
            "$let": {
                "vars": {"reached": _values_at(path)},
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


def _values_at(path: Path) -> Document:
    """The values at the end of the path, as a list."""
    root = f"${path.root}"
    start = {"$cond": [{"$eq": [{"$type": root}, "missing"]}, [], [root]]}
    keys = [{"key": key, "index": -1 if (at := index_of(key)) is None else at} for key in path.keys]
    step = {
        "$let": {
            "vars": {"key": "$$this.key", "index": "$$this.index"},
            "in": _flat({"$map": {"input": "$$value", "as": "at", "in": _step()}}),
        }
    }
    return {"$reduce": {"input": {"$literal": keys}, "initialValue": start, "in": step}}


def _step() -> Document:
    """The values that `$$key` leads to in the value `$$at`, as a list."""
    objects = {"$filter": {"input": "$$at", "as": "one", "cond": {"$eq": [{"$type": "$$one"}, "object"]}}}
    in_each = _flat({"$map": {"input": objects, "as": "one", "in": _member("$$one")}})
    there = {"$cond": [{"$lt": ["$$index", {"$size": "$$at"}]}, [{"$arrayElemAt": ["$$at", "$$index"]}], []]}
    return {
        "$switch": {
            "branches": [
                {"case": {"$eq": [{"$type": "$$at"}, "object"]}, "then": _member("$$at")},
                {"case": {"$isArray": ["$$at"]}, "then": {"$cond": [{"$gte": ["$$index", 0]}, there, in_each]}},
            ],
            "default": [],
        }
    }


def _member(of: str) -> Document:
    # $getField takes no computed key, and does not distinguish null from missing
    pairs = {"$filter": {"input": {"$objectToArray": of}, "as": "pair", "cond": {"$eq": ["$$pair.k", "$$key"]}}}
    return {"$map": {"input": pairs, "as": "pair", "in": "$$pair.v"}}


def _with_elements(lists: str) -> Document:
    both = {"$concatArrays": ["$$one", ["$$one"]]}
    elements = {"$cond": [{"$isArray": ["$$one"]}, both, ["$$one"]]}
    return _flat({"$map": {"input": lists, "as": "one", "in": elements}})


def _flat(lists: Document) -> Document:
    """The lists concatenated, in two rounds: each concatenation copies what was there before."""
    chunk = {"$slice": ["$$lists", "$$from", CHUNK]}
    starts = {"$range": [0, {"$size": "$$lists"}, CHUNK]}
    chunks = {"$map": {"input": starts, "as": "from", "in": _concatenation(chunk)}}
    return {"$let": {"vars": {"lists": lists}, "in": _concatenation(chunks)}}


def _concatenation(lists: Document) -> Document:
    return {"$reduce": {"input": lists, "initialValue": [], "in": {"$concatArrays": ["$$value", "$$this"]}}}


def _passes(value: str, test: Test) -> Document:
    match test:
        case Equals(values):
            simple = [one for one in values if not _holds_objects(one)]
            deep = [_equal(value, one) for one in values if _holds_objects(one)]
            return {"$or": [{"$in": [value, {"$literal": simple}]}, *deep]}
        case Compares(order, than):
            return {"$and": [_is(value, kind(than)), {f"${order}": [value, {"$literal": than}]}]}
        case Reads(how, text):
            index = {"$indexOfBytes": [value, {"$literal": text}]}
            there: Document = {"$eq": [index, 0]} if how == "startsWith" else {"$gte": [index, 0]}
            return {"$cond": [_is(value, "text"), there, False]}
        case _:
            assert_never(test)


def _is(value: str, kind: Kind | None) -> Document:
    return {"$isNumber": value} if kind == "number" else {"$eq": [{"$type": value}, BSON_TYPE[kind or "text"]]}


def _holds_objects(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_holds_objects, value)))


def _equal(value: Any, other: Any) -> Document:
    if isinstance(other, dict):
        members = [
            _equal({"$getField": {"field": {"$literal": key}, "input": value}}, member) for key, member in other.items()
        ]
        size = {"$eq": [{"$size": {"$objectToArray": value}}, len(other)]}
        return {"$cond": [{"$eq": [{"$type": value}, "object"]}, {"$and": [size, *members]}, False]}
    if _holds_objects(other):
        elements = [_equal({"$arrayElemAt": [value, at]}, element) for at, element in enumerate(other)]
        size = {"$eq": [{"$size": value}, len(other)]}
        return {"$cond": [{"$isArray": [value]}, {"$and": [size, *elements]}, False]}
    return {"$eq": [value, {"$literal": other}]}
