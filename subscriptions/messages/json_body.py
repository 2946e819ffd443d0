"""The JSON of a message, checked for what MongoDB and its drivers can store and return unchanged. No I/O."""

from typing import Any, Final

from eventscope.store.values import json_text
from eventscope.subscriptions.messages.invalid_message import InvalidMessage

MOST_BYTES: Final = 1024 * 1024
MOST_DEPTH: Final = 100
# of an event of another log: encoded again, its numbers may be longer, and its extensions are nested deeper
MOST_EXPORTED_BYTES: Final = 4 * MOST_BYTES

NESTED: Final = frozenset({dict, list})
DATABASE: Final = b"$db"
ESCAPED: Final = rb"\u00"  # the prefix of all in the next line
HIDDEN: Final = (rb"\u0000", rb"\u0024", rb"\u0064", rb"\u0062")  # escapes of NUL, and of the letters of `$db`


def load_exported(raw: bytes) -> Any:
    """Like `load`, for an event of another log."""
    return load(raw, MOST_EXPORTED_BYTES, MOST_DEPTH + 1)


def load(raw: bytes, most_bytes: int = MOST_BYTES, most_depth: int = MOST_DEPTH) -> Any:
    """The JSON value of the bytes. Raises InvalidMessage."""
    if len(raw) > most_bytes:
        raise InvalidMessage("TOO_LARGE", f"the message has {len(raw)} bytes; at most {most_bytes} are allowed")
    try:
        message = json_text.loads(raw)
    except json_text.Fault as fault:
        raise InvalidMessage(fault.code, _reason(fault)) from None
    hidden = ESCAPED in raw and any(one in raw for one in HIDDEN)
    if hidden or DATABASE in raw or raw.count(b"{") + raw.count(b"[") > most_depth:
        # the list of a group is a level of its own
        _check(message, most_depth + 1 if isinstance(message, list) else most_depth)
    return message


def _reason(fault: json_text.Fault) -> str:
    match fault.code:
        case "TOO_DEEP":
            return f"the message is nested more than {MOST_DEPTH} levels deep"
        case "INVALID_JSON":
            return f"the message is not JSON: {fault}"
        case _:
            return str(fault)


def _check(value: Any, depth: int) -> None:
    if depth == 0:
        raise InvalidMessage("TOO_DEEP", f"the message is nested more than {MOST_DEPTH} levels deep")
    if isinstance(value, dict):
        for key, member in value.items():
            if "\0" in key:
                raise InvalidMessage("INVALID_KEY", f"the key {key[:60]!r} holds a NUL, which MongoDB cannot store")
            if type(member) in NESTED:
                _check(member, depth - 1)
        if "$id" in value and value.get("$db", "") is None and isinstance(value.get("$ref"), str):
            reason = "the key '$db' is null beside '$ref' and '$id', and MongoDB's drivers would not return it"
            raise InvalidMessage("INVALID_KEY", reason)
    elif isinstance(value, list):
        for member in value:
            if type(member) in NESTED:
                _check(member, depth - 1)
