"""Making the indexes and collections of the log, and saying in one sentence what is in the way of that."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pymongo import IndexModel
from pymongo.errors import OperationFailure

from eventscope.errors import CannotStart
from eventscope.store.mongo.driver import Collection, Document, Mongo
from eventscope.store.mongo.failure import DUPLICATE_KEY, UNAUTHORIZED, passes, reason

# what makes an index another one, and what it is taken to be where it is not told
OPTIONS: Final[Mapping[str, Any]] = {
    "unique": False,
    "partialFilterExpression": None,
    "expireAfterSeconds": None,
    "sparse": False,
    "collation": None,
    "hidden": False,
}
KINDS: Final = {"view": "is a view", "timeseries": "is a time series"}


async def make(collection: Collection, wanted: Sequence[IndexModel]) -> None:
    """Make those that are not there; one with the same keys and options serves, whatever its name.

    Raises CannotStart naming the index that is in the way, and the command that drops it.
    """
    present = await collection.index_information()
    missing = [model.document for model in wanted if not _is_served(model.document, present, collection)]
    if not missing:
        return
    try:
        await collection.create_indexes([_model(document) for document in missing])
    except OperationFailure as error:
        if passes(error) or error.code == UNAUTHORIZED:
            raise
        raise CannotStart(_refusal(collection, missing, present, error)) from error


async def identities(mongo: Mongo, names: Iterable[str]) -> dict[str, object]:
    """What tells each of these collections from any other of its name; nothing if we may not ask.

    Raises CannotStart when one cannot hold a log: a view, or one that forgets documents or compares texts otherwise.
    """
    try:
        command = {"listCollections": 1, "filter": {"name": {"$in": list(names)}}}
        found: list[Document] = (await mongo.database.command(command))["cursor"]["firstBatch"]
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        return {}  # who may not ask can still write
    for info in found:
        if (fault := _fault(info)) is not None:
            name = info["name"]
            raise CannotStart(f"{name} {fault}, and the log needs a plain collection of that name: rename this one")
    return {info["name"]: info["info"].get("uuid") for info in found}


def _fault(info: Document) -> str | None:
    if info["type"] != "collection":
        return KINDS.get(info["type"], f"is a {info['type']}")
    if info["options"].get("capped"):
        return "is capped and forgets documents"
    return "has a collation of its own" if info["options"].get("collation") else None


def _is_served(wanted: Mapping[str, Any], present: Mapping[str, Any], collection: Collection) -> bool:
    options = _options(wanted)
    alike = [name for name, one in present.items() if _keys(one) == _keys(wanted)]
    if any(_options(present[name]) == options for name in alike):
        return True
    if wanted["name"] in present:
        raise CannotStart(_conflict(collection, wanted["name"], wanted, present[wanted["name"]]))
    return False


def _refusal(
    collection: Collection, missing: Sequence[Mapping[str, Any]], present: Mapping[str, Any], error: OperationFailure
) -> str:
    if error.code == DUPLICATE_KEY:
        return (
            f"the collection {collection.name} has the same value twice where each must be there once:"
            f" remove one of the two ({reason(error)})"
        )
    for wanted in missing:
        for name, one in present.items():
            if _keys(one) == _keys(wanted):
                return _conflict(collection, name, wanted, one)
    return f"MongoDB refuses to make the indexes of the collection {collection.name}: {reason(error)}"


def _conflict(collection: Collection, name: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    return (
        f"the index {name} of the collection {collection.name} {_difference(wanted, found)}: drop it with"
        f' db.{collection.name}.dropIndex("{name}"), and start again, which makes it as Eventscope needs it'
    )


def _difference(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    ours, theirs = _options(wanted), _options(found)
    if _keys(wanted) != _keys(found):
        return f"is by {', '.join(key for key, _ in _keys(found))} and not by {', '.join(k for k, _ in _keys(wanted))}"
    if ours["unique"] != theirs["unique"]:
        return "is not unique" if ours["unique"] else "is unique, and should not be"
    if ours["expireAfterSeconds"] != theirs["expireAfterSeconds"]:
        after = theirs["expireAfterSeconds"]
        return "lets nothing expire" if after is None else f"deletes after {after:g} s, and not as the log says"
    differing = [name for name in OPTIONS if ours[name] != theirs[name]]
    return f"has another {', '.join(differing)} than Eventscope needs"


def _options(description: Mapping[str, Any]) -> dict[str, Any]:
    options = {name: description.get(name, default) for name, default in OPTIONS.items()}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in options.items()}


def _keys(description: Mapping[str, Any]) -> list[tuple[str, Any]]:
    keys = description["key"]
    return list(keys.items() if isinstance(keys, Mapping) else keys)


def _model(document: Mapping[str, Any]) -> IndexModel:
    options = {name: value for name, value in document.items() if name != "key"}
    return IndexModel(_keys(document), **options)
