"""Whether two messages of one id have the same content, so that the second is a repetition of the first. No I/O."""

from typing import Final, cast

import orjson
from bson import DBRef

from eventscope.store.mongo.driver import Document
from eventscope.store.values.documents import EventDocument, plain
from eventscope.store.values.message import HEADERS, AcceptedMessage

# What the log adds to a message, and the claimed version, which a restarted publisher may count differently. All other
# members decide whether two messages of one id are the same.
NOT_CONTENT: Final = frozenset({"_id", "version", "claimedVersion", "recordedAt", "source", "expireAt"})


def is_same(original: EventDocument, event: EventDocument, message: AcceptedMessage) -> bool:
    """Whether `event`, which the message would become, has the content of the event that its id has in the log."""
    # JetStream gives each sending of a message another timestamp
    ignored = NOT_CONTENT if message.has_timestamp else NOT_CONTENT | {"timestamp"}
    # Headers, such as a trace context, may differ too, unless the message itself has them in its metadata.
    metadata = event.get("metadata")
    has_own_headers = isinstance(metadata, dict) and HEADERS in metadata and not message.keeps_headers
    return _content(original, ignored, has_own_headers, message.claim) == _content(
        event, ignored, has_own_headers, message.claim
    )


def _content(event: EventDocument, ignored: frozenset[str], with_headers: bool, claim: str | None) -> bytes:
    content = {name: value for name, value in event.items() if name not in ignored}
    rest = _without(claim, content.pop("extensions", {}))
    # a member that was unknown to the version that stored the event is an extension there, and a field now
    content |= {name: rest.pop(name) for name in rest.keys() - content.keys()}
    if rest:
        content["extensions"] = rest
    if not with_headers and "metadata" in content:
        content["metadata"] = _without_headers(content["metadata"])
    if content.get("metadata") == {}:
        del content["metadata"]
    return orjson.dumps(content, default=plain, option=orjson.OPT_SORT_KEYS)


def _without_headers(metadata: object) -> object:
    # the driver decodes {"$ref": …, "$id": …}, which anyone may send, as a DBRef
    members = plain(metadata) if isinstance(metadata, DBRef) else metadata
    return {name: value for name, value in members.items() if name != HEADERS} if isinstance(members, dict) else members


def _without(claim: str | None, extensions: object) -> Document:
    """The extensions without the claimed version, which is one of them if it is not an integer."""
    members = plain(extensions) if isinstance(extensions, DBRef) else extensions
    return {name: value for name, value in cast("Document", members).items() if name != claim}
