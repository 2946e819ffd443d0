"""Parses `EVENTSCOPE_ENVELOPES`, which names an envelope or gives a mapping for each subject pattern."""

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

from eventscope import envelope_constants

EnvelopeName = Literal["plain", "cloudevents", "nestjs"]
Conversion = Literal["text", "number", "seconds", "milliseconds", "microseconds", "nanoseconds"]

NAMES: Final[tuple[EnvelopeName, ...]] = get_args(EnvelopeName)
CONVERSIONS: Final[tuple[Conversion, ...]] = get_args(Conversion)
METADATA: Final = "metadata"
TEXTS: Final = (
    "type",
    "messageId",
    "timestamp",
    "aggregateType",
    "aggregateId",
    "correlationId",
    "causationId",
    "userId",
)
MEMBERS: Final = (*TEXTS, "version", "data", METADATA)
KINDS: Final = ("path", "header", "subject", "constant")
WORDS: Final = re.compile(r"([1-9]\d{0,3})(-([1-9]\d{0,3})?)?", re.ASCII)
PATTERN: Final = re.compile(r"[^\s.]+(\.[^\s.]+)*")


@dataclass(frozen=True, slots=True)
class FromMessage:
    """The value at a path of keys in the message; without keys, the whole message."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FromHeader:
    """The value of a NATS header."""

    name: str


@dataclass(frozen=True, slots=True)
class FromSubject:
    """Words of the subject, joined by dots: inclusive ranges of words counted from 1; None is the last word."""

    ranges: tuple[tuple[int, int | None], ...]


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value for every message."""

    value: Any


@dataclass(frozen=True, slots=True)
class MemberSource:
    """Where a member comes from, the form it is converted from, and its description for errors."""

    origin: FromMessage | FromHeader | FromSubject | Constant
    conversion: Conversion | None
    text: str


@dataclass(frozen=True, slots=True)
class EnvelopeMapping:
    """The members of an event with their sources: the first source that is present gives the value.

    Members are those of a plain message and `metadata.NAME`, which come after `metadata`.
    """

    members: tuple[tuple[str, tuple[MemberSource, ...]], ...]


EnvelopeChoice: TypeAlias = EnvelopeName | EnvelopeMapping


def read_setting(text: str) -> dict[str, EnvelopeChoice]:
    """Parse the setting: JSON if it begins with a brace, or else the path of a JSON file.

    Raises a ValueError that names where the mistake is.
    """
    return setting(content(text))


def content(text: str) -> Any:
    """The JSON in the text, or in the file that the text names; ValueError if there is none."""
    if text.lstrip().startswith("{"):
        return _json(text)
    if not text:
        raise ValueError("give JSON that begins with {, or the path of a JSON file")
    try:
        file_text = Path(text).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a text in UTF-8"
        raise ValueError(f"it does not begin with {{, and as the path of a file it cannot be read ({reason})") from None
    try:
        return _json(file_text)
    except ValueError as error:
        raise ValueError(f"in that file: {error}") from None


def setting(value: Any) -> dict[str, EnvelopeChoice]:
    """The envelopes by subject pattern; ValueError if the value is wrong."""
    if not isinstance(value, dict):
        raise ValueError('give an object by subject pattern, like {"orders.>": "cloudevents"}')
    for pattern in value:
        if not PATTERN.fullmatch(pattern) or ">" in pattern.split(".")[:-1]:
            raise ValueError(f"{pattern!r} is not a pattern of subjects like orders.> or orders.*.placed")
    return {pattern: _envelope(one, pattern) for pattern, one in value.items()}


def mapping(value: Any, at: str = "the mapping") -> EnvelopeMapping:
    """One mapping; ValueError if it is wrong."""
    if not isinstance(value, dict):
        raise ValueError(f"{at} is {_quoted(value)} and not an object of members and their sources")
    members = {name: _sources(value[name], name, at) for name in value if _is_member(name, at)}
    # single names are added to the metadata, so it must exist first
    return EnvelopeMapping(tuple(sorted(members.items(), key=lambda member: member[0].startswith(f"{METADATA}."))))


def is_setting(value: Any) -> bool:
    """Whether a value seems to be a whole setting and not one mapping; either may contain mistakes."""
    if not isinstance(value, dict):
        return False
    names = [name for name in value if name.partition(".")[0] != METADATA]
    if any({"*", ">"} & set(name.split(".")) for name in names):
        return True
    if len(names) < len(value) or any(name in MEMBERS for name in names):
        return False
    if any(isinstance(one, dict) and one.keys() & {*KINDS, "as"} for one in value.values()):
        return False
    if all(isinstance(one, dict) or one in NAMES for one in value.values()):
        return True
    return not any("." not in name and _close(name, MEMBERS) for name in names)


def _json(text: str) -> Any:
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_constant,
            parse_float=envelope_constants.decimal,
            parse_int=envelope_constants.integer,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise ValueError(f"{key!r} is given twice")
        members[key] = value
    return members


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _envelope(value: Any, pattern: str) -> EnvelopeChoice:
    if isinstance(value, EnvelopeMapping):
        return value
    if isinstance(value, str):
        if value not in NAMES:
            raise ValueError(
                f"{pattern}: {value!r} is not an envelope{_close(value, NAMES)}; {_or(NAMES)}, or a mapping"
            )
        return value
    return mapping(value, pattern)


def _is_member(name: str, at: str) -> bool:
    parent, dot, inner = name.partition(".")
    if dot and parent == METADATA:
        if not inner or "." in inner or "\0" in inner:
            raise ValueError(f"{at}: {name!r} is not metadata. followed by one name without a dot")
    elif name not in MEMBERS:
        raise ValueError(f"{at}: {name!r} is not a member of an event{_close(name, MEMBERS)}")
    return True


def _sources(value: Any, name: str, at: str) -> tuple[MemberSource, ...]:
    at = f"{at}: {name}"
    if not isinstance(value, list):
        return (_source(value, name, at),)
    if not value:
        raise ValueError(f"{at} is a list without sources")
    return tuple(_source(one, name, f"{at}[{index}]") for index, one in enumerate(value))


def _source(value: Any, name: str, at: str) -> MemberSource:
    if isinstance(value, str):
        return MemberSource(FromMessage(_keys(value, at)), None, value or "the message")
    if not isinstance(value, dict):
        kinds = '{"header": …}, {"subject": …} or {"constant": …}'
        raise ValueError(f"{at} is {_quoted(value)} and not a source: a path like meta.id, {kinds}")
    for key in value:
        if key not in (*KINDS, "as"):
            raise ValueError(f"{at}: {key!r} is none of {', '.join(KINDS)} and as{_close(key, (*KINDS, 'as'))}")
    present = [kind for kind in KINDS if kind in value]
    if len(present) != 1:
        raise ValueError(f"{at} must have one of {', '.join(KINDS)}, and has {' and '.join(present) or 'none'}")
    [kind] = present
    conversion = value.get("as")
    if "as" in value and conversion not in CONVERSIONS:
        raise ValueError(
            f"{at}: {conversion!r} is not a conversion{_close(conversion, CONVERSIONS)}; {_or(CONVERSIONS)}"
        )
    if conversion not in (None, "text", "number") and name != "timestamp" and not name.startswith(f"{METADATA}."):
        raise ValueError(f"{at}: a time in {conversion} is only for timestamp and metadata.NAME")
    origin = value[kind]
    match kind:
        case "path":
            keys = _keys(origin, at)
            return MemberSource(FromMessage(keys), conversion, ".".join(keys) or "the message")
        case "header":
            if not isinstance(origin, str) or not origin:
                raise ValueError(f"{at}: the header is {_quoted(origin)} and not a name")
            return MemberSource(FromHeader(origin), conversion, f"the header {origin}")
        case "subject":
            ranges = tuple(_range(one, at) for one in (origin if isinstance(origin, list) and origin else [origin]))
            return MemberSource(FromSubject(ranges), conversion, f"the subject's words {json.dumps(origin)}")
        case _:
            return MemberSource(Constant(_constant(origin, name, at)), conversion, "a constant")


def _keys(value: Any, at: str) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(key, str) for key in value):
        return tuple(value)
    if not isinstance(value, str):
        raise ValueError(f"{at}: the path is {_quoted(value)} and neither a text like meta.id nor a list of keys")
    if value in ("", "."):
        return ()
    keys = value.split(".")
    if "" in keys:
        raise ValueError(f'{at}: the path {value!r} has an empty key; {{"path": [key, …]}} takes keys of any kind')
    return tuple(keys)


def _range(value: Any, at: str) -> tuple[int, int | None]:
    match = WORDS.fullmatch(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if match is None:
        raise ValueError(f'{at}: {value!r} is not a word of the subject like 2, or words like "2-" or "2-3", from 1 on')
    first, dash, last = match.groups()
    if last and int(last) < int(first):
        raise ValueError(f"{at}: the range of words {value!r} ends before it begins")
    return int(first), int(last) if last else None if dash else int(first)


def _constant(value: Any, name: str, at: str) -> Any:
    envelope_constants.check(value, at)
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    if name == "version":
        ok = is_integer and value > 0
    elif name in TEXTS:  # ids may be numbers
        ok = (isinstance(value, str) and value != "") or (is_integer and name not in ("type", "timestamp"))
    else:
        ok = value is not None
    if not ok:
        raise ValueError(f"{at}: the constant is {_quoted(value)}, which {name} cannot be")
    return value


def _quoted(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:40]}…"


def _or(names: Iterable[str]) -> str:
    *others, last = names
    return f"give {', '.join(others)} or {last}"


def _close(word: object, words: Iterable[str]) -> str:
    lower = {other.lower(): other for other in words}
    close = difflib.get_close_matches(str(word).lower(), lower, n=1)
    return f"; did you mean {lower[close[0]]}?" if close else ""
