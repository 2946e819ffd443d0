"""Why MongoDB refused a batch: another writer was faster, a message cannot be stored, or something is in the way."""

from typing import Final

from pymongo.read_concern import ReadConcern

from eventscope.errors import Blocked, EventscopeError, LeaseLost, Unstorable
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.failure import Duplicate, WriteRefused
from eventscope.store.state import checkpoint
from eventscope.store.state.checkpoint import LogCheckpoint

ID_INDEX: Final = "_id_"
MESSAGE_IDS: Final = ("messageId",)
VERSIONS: Final = ("aggregateType", "aggregateId", "version")
# these hold the content of messages; all other collections hold only what the log derives from it
OF_MESSAGES: Final = frozenset({"events", "aggregates"})
# A validator may refuse one document of these and accept the next. Of the counts, it would refuse every one.
OF_BYTES: Final = frozenset({"events", "rejected"})


async def explanation(log: Log, at: LogCheckpoint, refusal: WriteRefused) -> EventscopeError:
    """The error to raise for a batch that begins at the checkpoint `at`.

    LeaseLost when the checkpoint has moved, or may have: `agreement.check` finds out at the next start. Otherwise
    Unstorable when a message is the reason, and Blocked when somebody must repair something before any batch can be
    stored.
    """
    name, duplicate = refusal.collection, refusal.duplicate
    # a taken position may belong to a batch that a new primary does not show yet: the next start will see it
    is_taken = name == "events" and duplicate is not None and duplicate.index == ID_INDEX
    if is_taken or await _has_moved(log, at):
        return LeaseLost("MongoDB has more than it showed this ingester")
    if duplicate is None:
        if name in OF_BYTES if refusal.invalid else refusal.of_a_document and name in OF_MESSAGES:
            return Unstorable(str(refusal))
        if refusal.invalid:
            return Blocked(f"a validator of the collection {name} stops writes to the log: remove it ({refusal})")
        return Blocked(f"MongoDB refuses to write to the collection {name}: {refusal}")
    if duplicate.index == ID_INDEX or (name == "events" and duplicate.keys in (MESSAGE_IDS, VERSIONS)):
        return Blocked(_foreign(name, duplicate, at))
    index = f"the unique index {duplicate.index} of the collection {name}, which is not Eventscope's,"
    if name in OF_MESSAGES:
        return Unstorable(f"{index} already has this {', '.join(duplicate.keys)}")
    return Blocked(f'{index} stops writes to the log: db.{name}.dropIndex("{duplicate.index}")')


def foreign_head(id: Document) -> Blocked:
    """What to raise for a document of `aggregates` that is not a head."""
    return Blocked(f"the document {_text(id)} of the collection aggregates is not Eventscope's: remove it")


def foreign_event(id: object) -> Blocked:
    """What to raise for a document of `events` that is not an event."""
    return Blocked(f"the document {_text(id)} of the collection events is not Eventscope's: remove it")


async def _has_moved(log: Log, at: LogCheckpoint) -> bool:
    # what the primary itself has: another writer's commit may reach the majority a moment later
    meta = log.meta.with_options(read_concern=ReadConcern("local"))
    document = await meta.find_one({"_id": checkpoint.ID})
    return document is None or not checkpoint.is_at(document, at)


def _foreign(name: str, duplicate: Duplicate, at: LogCheckpoint) -> str:
    if name == "events" and duplicate.keys == VERSIONS:
        type, id, version = duplicate.values.values()
        return (
            f"the collection events has version {version} of {type} {id}, which the collection aggregates lacks:"
            " restore aggregates from the same backup as events"
        )
    id = duplicate.values.get("_id", duplicate.values)
    return (
        f"the collection {name} already has the document {_text(id)}, but the checkpoint in meta stands at"
        f" position {at.head}: remove what is not Eventscope's, or restore {name} and meta from one backup"
    )


def _text(id: object) -> str:
    return repr(id)[:200]
