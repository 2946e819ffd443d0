"""Why MongoDB refuses a batch: another writer was quicker, it cannot keep a message, or something stands in the way."""

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
# what is stored here is what a message says; all else is the log's own account of it
OF_MESSAGES: Final = frozenset({"events", "aggregates"})
# a validator may refuse one document of these and take the next; of what the log counts it would refuse any
OF_BYTES: Final = frozenset({"events", "rejected"})


async def explained(log: Log, at: LogCheckpoint, refused: WriteRefused) -> EventscopeError:
    """The error to raise for a batch that begins at the checkpoint `at`.

    LeaseLost when the checkpoint, read anew, has moved, or may have: `agreement.check` tells at the next start. Else
    Unstorable when it is for a message that MongoDB refuses the batch, and Blocked when something has to be mended
    before any can be stored.
    """
    name, found = refused.collection, refused.duplicate
    # a position that is taken may be of a batch that a new primary does not show yet: who begins anew will see
    taken = name == "events" and found is not None and found.index == ID_INDEX
    if taken or await _moved(log, at):
        return LeaseLost("MongoDB has more than it showed this ingester")
    if found is None:
        if name in OF_BYTES if refused.invalid else refused.of_a_document and name in OF_MESSAGES:
            return Unstorable(str(refused))
        if refused.invalid:
            return Blocked(
                f"a validator of the collection {name} keeps the log from being written: remove it ({refused})"
            )
        return Blocked(f"MongoDB refuses to write to the collection {name}: {refused}")
    if found.index == ID_INDEX or (name == "events" and found.keys in (MESSAGE_IDS, VERSIONS)):
        return Blocked(_foreign(name, found, at))
    index = f"the unique index {found.index} of the collection {name}, which is not Eventscope's,"
    if name in OF_MESSAGES:
        return Unstorable(f"{index} has its {', '.join(found.keys)} already")
    return Blocked(f'{index} keeps the log from being written: db.{name}.dropIndex("{found.index}")')


def foreign_head(id: Document) -> Blocked:
    """What to raise for a document in the place of a head that is none."""
    return Blocked(f"the document {_shown(id)} of the collection aggregates is not Eventscope's: remove it")


def foreign_event(id: object) -> Blocked:
    """What to raise for a document among the events that is none."""
    return Blocked(f"the document {_shown(id)} of the collection events is not Eventscope's: remove it")


async def _moved(log: Log, at: LogCheckpoint) -> bool:
    # what the primary has itself: the majority may hear of another writer a moment later
    meta = log.meta.with_options(read_concern=ReadConcern("local"))
    found = await meta.find_one({"_id": checkpoint.ID})
    return found is None or not checkpoint.is_at(found, at)


def _foreign(name: str, found: Duplicate, at: LogCheckpoint) -> str:
    if name == "events" and found.keys == VERSIONS:
        type, id, version = found.values.values()
        return (
            f"the collection events has version {version} of {type} {id}, and the collection aggregates does not know"
            " of it: restore aggregates from the same backup as events"
        )
    id = found.values.get("_id", found.values)
    return (
        f"the collection {name} has the document {_shown(id)} already, though the checkpoint in meta stands at"
        f" position {at.head}: remove what is not Eventscope's, or restore {name} and meta from one backup"
    )


def _shown(id: object) -> str:
    return repr(id)[:200]
