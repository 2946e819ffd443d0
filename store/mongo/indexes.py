"""Creating the indexes and collections of the log, with one sentence for whatever is in the way."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pymongo import IndexModel
from pymongo.errors import OperationFailure

from eventscope.errors import CannotStart
from eventscope.store.mongo.driver import Collection, Document, Mongo
from eventscope.store.mongo.failure import DUPLICATE_KEY, UNAUTHORIZED, passes, reason

# the options that distinguish indexes, with their defaults
OPTIONS: Final[Mapping[str, Any]] = {
    "unique": False,
    "partialFilterExpression": None,
    "expireAfterSeconds": None,
    "sparse": False,
    "collation": None,
    "hidden": False,
}
KINDS: Final = {"view": "is a view", "timeseries": "is a time series"}


async def make(collection: Collection, models: Sequence[IndexModel]) -> None:
    """Create the indexes that are missing. An existing one with the same keys and options will do, whatever its name.

    CannotStart names the index that is in the way, and the command that drops it.
    """
    present = await collection.index_information()
    missing = [model.document for model in models if not _is_served(model.document, present, collection)]
    if not missing:
        return
    try:
        await collection.create_indexes([_model(document) for document in missing])
    except OperationFailure as error:
        if passes(error) or error.code == UNAUTHORIZED:
            raise
        raise CannotStart(_refusal(collection, missing, present, error)) from error


async def identities(mongo: Mongo, names: Iterable[str]) -> dict[str, object]:
    """The unique id of each of these collections; empty if the user may not list collections.

    CannotStart when one cannot hold a log: a view, a capped collection, or one with its own collation.
    """
    try:
        command = {"listCollections": 1, "filter": {"name": {"$in": list(names)}}}
        descriptions: list[Document] = (await mongo.database.command(command))["cursor"]["firstBatch"]
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        return {}  # a user without this right can still write
    for info in descriptions:
        if (fault := _fault(info)) is not None:
            name = info["name"]
            raise CannotStart(f"{name} {fault}, but the log needs a plain collection of that name: rename this one")
    return {info["name"]: info["info"].get("uuid") for info in descriptions}


def _fault(info: Document) -> str | None:
    if info["type"] != "collection":
        return KINDS.get(info["type"], f"is a {info['type']}")
    if info["options"].get("capped"):
        return "is capped, and so loses documents"
    return "has a collation of its own" if info["options"].get("collation") else None


def _is_served(index: Mapping[str, Any], present: Mapping[str, Any], collection: Collection) -> bool:
    options = _options(index)
    alike = [name for name, one in present.items() if _keys(one) == _keys(index)]
    if any(_options(present[name]) == options for name in alike):
        return True
    if index["name"] in present:
        raise CannotStart(_conflict(collection, index["name"], index, present[index["name"]]))
    return False


def _refusal(
    collection: Collection, missing: Sequence[Mapping[str, Any]], present: Mapping[str, Any], error: OperationFailure
) -> str:
    if error.code == DUPLICATE_KEY:
        return (
            f"the collection {collection.name} has duplicates of a value that must be unique:"
            f" remove one of the two ({reason(error)})"
        )
    for index in missing:
        for name, one in present.items():
            if _keys(one) == _keys(index):
                return _conflict(collection, name, index, one)
    return f"MongoDB refuses to create the indexes of the collection {collection.name}: {reason(error)}"


def _conflict(collection: Collection, name: str, definition: Mapping[str, Any], existing: Mapping[str, Any]) -> str:
    return (
        f"the index {name} of the collection {collection.name} {_difference(definition, existing)}: drop it with"
        f' db.{collection.name}.dropIndex("{name}"), and start again: Eventscope then creates the index it needs'
    )


def _difference(definition: Mapping[str, Any], existing: Mapping[str, Any]) -> str:
    ours, theirs = _options(definition), _options(existing)
    if _keys(definition) != _keys(existing):
        present, right = (", ".join(key for key, _ in _keys(one)) for one in (existing, definition))
        return f"is on {present} and not on {right}"
    if ours["unique"] != theirs["unique"]:
        return "is not unique" if ours["unique"] else "is unique, and should not be"
    if ours["expireAfterSeconds"] != theirs["expireAfterSeconds"]:
        after = theirs["expireAfterSeconds"]
        return "expires nothing" if after is None else f"expires documents after {after:g} s, and not as the log does"
    options = [name for name in OPTIONS if ours[name] != theirs[name]]
    return f"differs in {', '.join(options)} from what Eventscope needs"


def _options(description: Mapping[str, Any]) -> dict[str, Any]:
    options = {name: description.get(name, default) for name, default in OPTIONS.items()}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in options.items()}


def _keys(description: Mapping[str, Any]) -> list[tuple[str, Any]]:
    keys = description["key"]
    return list(keys.items() if isinstance(keys, Mapping) else keys)


def _model(document: Mapping[str, Any]) -> IndexModel:
    options = {name: value for name, value in document.items() if name != "key"}
    return IndexModel(_keys(document), **options)
