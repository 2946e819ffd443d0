"""All settings, read once from the environment: variables are `EVENTSCOPE_` and a field's name."""

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from ipaddress import ip_network
from typing import Annotated, Final, Literal, get_args, get_origin
from urllib.parse import urlsplit

import orjson
from pydantic import Field, InstanceOf, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from eventscope.envelopes import EnvelopeMapping, EnvelopeName, read_setting, setting
from eventscope.errors import CannotStart
from eventscope.redact import redacted_text, redacted_value

PREFIX = "EVENTSCOPE_"
MOST_PATHS = 16
MOST_PATH = 200
# no key may be a number: where the key before it holds a list, the number could be a place in the list or a key of
# its objects, and MongoDB refuses to index that
PATH = re.compile(r"(data|metadata)(\.(?!\d+(\.|$))[^\s$.\\\0,][^\s.\\\0,]*)+")
SUBJECT = re.compile(r"([^\s.*>]+|\*)(\.([^\s.*>]+|\*))*(\.>)?|>")
NAME_SIZE = re.compile(r"^\^\[A-Za-z0-9_-\]\{(\d+),(\d+)\}\$$")
BOUNDS = ("ge", "gt", "le", "pattern")
HOST = re.compile(r"(\*\.)?[0-9A-Za-z_-]+(\.[0-9A-Za-z_-]+)*\.?", re.ASCII)
HEADER = re.compile(r"[!#$%&'+\-.^_`|~0-9A-Za-z]+\*?|\*")

Names = Annotated[tuple[str, ...], NoDecode]  # separated by commas, not JSON


class Settings(BaseSettings):
    """What a deployment may choose. Every field is described in docs/settings.md."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True)

    mongo_url: str = Field(default="", repr=False)
    mongo_database: str = Field(default="eventscope", pattern=r"^[A-Za-z0-9_-]{1,63}$")
    mongo_driver: Literal["motor", "pymongo"] = "motor"
    nats_url: str = Field(default="", repr=False)
    nats_credentials_file: str = Field(default="", repr=False)
    nats_nkey_file: str = Field(default="", repr=False)
    nats_ca_file: str = ""
    nats_certificate_file: str = ""
    nats_key_file: str = Field(default="", repr=False)
    nats_domain: str = Field(default="", pattern=r"^[A-Za-z0-9_-]{0,64}$")
    stream: str = Field(default="EVENTS", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    subjects: Names = ("events.>",)
    stream_max_bytes: int = Field(default=1024**3, ge=0)
    stream_keep_hours: float = Field(default=24.0, ge=0, le=8760)
    envelopes: Annotated[dict[str, InstanceOf[EnvelopeMapping] | EnvelopeName], NoDecode] = {}
    message_version: Annotated[dict[str, Literal["claim", "expect"]], NoDecode] = {}
    keep_headers: Names = ("traceparent", "tracestate")
    retention: Annotated[dict[str, float], NoDecode] = {"*": 30.0}
    rejected_days: float = Field(default=30.0, ge=0, le=36500)
    rejected_max_bytes: int = Field(default=1024**3, ge=0)
    indexed_paths: Names = ()
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    ingest_port: int = Field(default=0, ge=0, le=65535)
    hosts: Names = ()
    origins: Names = ()
    proxies: Names = ()
    connections: int = Field(default=10_000, ge=1, le=1_000_000)
    connections_per_address: int = Field(default=1_000, ge=1, le=1_000_000)
    header_seconds: float = Field(default=10.0, ge=0.1, le=600)
    body_seconds: float = Field(default=30.0, ge=0.1, le=3600)
    client_rate: int = Field(default=16_384, ge=0, le=1024**3)
    live_client_bytes: int = Field(default=1024**2, ge=1024, le=1024**3)
    live_total_bytes: int = Field(default=64 * 1024**2, ge=1024, le=64 * 1024**3)
    tail_events: int = Field(default=4_000, ge=0, le=100_000)
    worker_seconds: float = Field(default=10.0, ge=0, le=600)
    graphiql: bool = True
    batch: int = Field(default=500, ge=1, le=5000)
    lease_seconds: float = Field(default=6.0, ge=0.5, le=60)
    question_seconds: float = Field(default=10.0, gt=0, le=300)
    most_tokens: int = Field(default=2_000, ge=100, le=100_000)
    most_depth: int = Field(default=20, ge=1, le=100)
    most_root_fields: int = Field(default=20, ge=1, le=10_000)
    most_fields: int = Field(default=500, ge=1, le=100_000)
    most_aliases: int = Field(default=30, ge=0, le=10_000)
    most_directives: int = Field(default=50, ge=0, le=10_000)
    most_entries: int = Field(default=10_000, ge=1, le=1_000_000)
    most_bytes: int = Field(default=32 * 1024**2, ge=1024**2, le=16 * 1024**3)
    large_answers: int = Field(default=2, ge=1, le=1000)
    compiled: bool = True
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("subjects", "hosts", "origins", "proxies", "indexed_paths", "keep_headers", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("log_level", "mongo_driver", mode="before")
    @classmethod
    def _small_letters(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("subjects")
    @classmethod
    def _some_subject(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("at least one subject is needed")
        return value

    @field_validator("origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if origin != "*" and not _is_origin(origin):
                raise ValueError(f"{origin!r} is not an origin like https://example.org")
        return value

    @field_validator("hosts")
    @classmethod
    def _host_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name != "*" and not HOST.fullmatch(name):
                raise ValueError(f"{name[:80]!r} is not a name like api.example.org or *.example.org, without a port")
        return tuple(name.lower().removesuffix(".") for name in value)

    @field_validator("proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ip_network(network)
            except ValueError as error:
                raise ValueError(f"{network[:80]!r} is not an address or a network like 10.0.0.0/8 ({error})") from None
        return value

    @field_validator("keep_headers")
    @classmethod
    def _header_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not HEADER.fullmatch(name):
                raise ValueError(f"{name[:80]!r} is not the name of a header, which may end in * for any rest")
        return value

    @field_validator("indexed_paths")
    @classmethod
    def _paths(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for path in value:
            if len(path) > MOST_PATH or not PATH.fullmatch(path):
                raise ValueError(f"{path[:80]!r} is not a path like data.order.id, which leads from key to key")
        if len(value) > MOST_PATHS:
            raise ValueError(f"there are {len(value)} paths; {MOST_PATHS} is the limit: each makes storing slower")
        return tuple(dict.fromkeys(value))

    @field_validator("envelopes", mode="before")
    @classmethod
    def _envelopes(cls, value: object) -> object:
        return read_setting(value) if isinstance(value, str) else setting(value)

    @field_validator("retention", mode="before")
    @classmethod
    def _json(cls, value: object) -> object:
        try:
            return orjson.loads(value) if isinstance(value, str) else value
        except orjson.JSONDecodeError as error:
            raise ValueError(f'give a JSON object by pattern, like {{"*": 30}} ({error})') from None

    @field_validator("message_version", mode="before")
    @classmethod
    def _for_all(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value in ("claim", "expect"):
            return {">": value}
        with suppress(orjson.JSONDecodeError):
            if isinstance(by_subject := orjson.loads(value), dict):
                return by_subject
        raise ValueError('give claim or expect, or a JSON object by subject, like {"events.order.>": "expect"}')

    @field_validator("message_version")
    @classmethod
    def _patterns(cls, value: dict[str, str]) -> dict[str, str]:
        for pattern in value:
            if not SUBJECT.fullmatch(pattern):
                raise ValueError(f"{pattern[:80]!r} is not a pattern of subjects like events.order.>")
        return value

    @field_validator("retention")
    @classmethod
    def _days(cls, value: dict[str, float]) -> dict[str, float]:
        for pattern, days in value.items():
            if not 0 <= days <= 36500:
                raise ValueError(f"{pattern!r} is kept for {days:g} days; give 0 (for ever) to 36500")
        return value


NATS_ACCESS: Final = tuple(name for name in Settings.model_fields if name.startswith("nats_") and name != "nats_url")
"""The credentials and options for the server of `nats_url`, and for no other."""


def variable(field: str) -> str:
    """The environment variable of a field of `Settings`."""
    return PREFIX + field.upper()


def load() -> Settings:
    """Read the settings; raises CannotStart, which names each wrong variable and its value."""
    variables = [variable(field) for field in Settings.model_fields]
    environment = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    unknown = [_unknown(name, variables) for name in environment if name not in variables]
    if unknown:
        raise CannotStart("; ".join(unknown))
    try:
        return Settings()
    except ValidationError as error:
        raise CannotStart(
            "; ".join(_wrong(problem["loc"], _reason(problem), environment) for problem in error.errors())
        ) from None


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        beyond = (parts.path.removeprefix("/"), parts.query, parts.fragment, parts.username)
        return bool(parts.scheme and parts.hostname and parts.port != 0 and not any(beyond))
    except ValueError:
        return False


def _unknown(name: str, variables: list[str]) -> str:
    words = {other.removeprefix(PREFIX): other for other in variables}
    close = [words[word] for word in difflib.get_close_matches(name.removeprefix(PREFIX).upper(), words, n=1)]
    return f"{name} is not a setting" + (
        f"; did you mean {close[0]}?" if close else "; docs/settings.md lists them all"
    )


def _reason(problem: ErrorDetails) -> str:
    """What our own validator says, or which values are allowed: pydantic's sentences are for programmers."""
    location, message = problem["loc"], problem["msg"]
    if problem["type"] == "value_error":
        return message.removeprefix("Value error, ")
    field = Settings.model_fields[str(location[0])]
    if len(location) == 1:
        return _allowed(field.annotation, field.metadata) or message
    # a value in a JSON object
    return f"{str(location[1])[:80]!r}: {_allowed(get_args(field.annotation)[1], ()) or message}"


def _allowed(kind: object, bounds: Iterable[object]) -> str | None:
    """Which values of this type are allowed, in words; None for a type that no sentence is known for."""
    limits = {name: limit for one in bounds for name in BOUNDS if (limit := getattr(one, name, None)) is not None}
    if get_origin(kind) is Literal:
        *others, last = get_args(kind)
        return f"give {', '.join(others)} or {last}"
    if get_origin(kind) is dict:
        return "give a JSON object"
    if kind is bool:
        return "give true or false"
    if kind is str and (size := NAME_SIZE.search(str(limits.get("pattern")))):
        return f"give {size[1]} to {size[2]} letters, digits, _ and -"
    if kind in (int, float):
        number = "a whole number" if kind is int else "a number"
        match limits:
            case {"ge": least, "le": most}:
                return f"give {number} from {least} to {most}"
            case {"gt": least, "le": most}:
                return f"give {number} above {least}, up to {most}"
            case {"ge": least}:
                return f"give {number} of {least} or more"
        return f"give {number}"
    return None


def _wrong(location: tuple[int | str, ...], reason: str, environment: Mapping[str, str]) -> str:
    name = variable(str(location[0]))
    text = environment.get(name)
    # the reason may repeat the value, or parts of it
    reason = redacted_text(reason)
    if text is not None and redacted_value(text) != text:
        reason = reason.replace(text, redacted_value(text))
    return f"{name} is {text if text is None else redacted_value(text)!r}: {reason}"
