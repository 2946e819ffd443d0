"""Addresses of servers without their secrets, fit for messages: whatever may be secret is starred."""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote, unquote_plus

HIDDEN: Final = "***"
SCHEME: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*://)?(.*)", re.DOTALL)
HOST: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]*)(:\d{1,5})?")
SERVER: Final = re.compile(r"(nats|tls|ws|wss)://")
USER: Final = re.compile(r"[\w.~%+-]{1,64}")
PATH: Final = re.compile(r"[\w./-]{0,64}")
VALUE: Final = re.compile(r"[\w.-]{1,64}")
# options that help to find out why a server cannot be reached, and that hold no secret
SHOWN: Final = frozenset({"authsource", "directconnection", "readpreference", "replicaset", "ssl", "tls"})
NARROWLY: Final = {"authmechanism": re.compile(r"[A-Z0-9-]{1,20}"), "w": re.compile(r"\d{1,3}|majority")}
ADDRESS: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{0,30}://\S+")  # bounded, for it is tried at every letter
SHORT: Final = 2  # letters
DELIMITERS: Final = re.compile(r"[:/?#\[\]@!$&'()*+,;=\s]+")


def redacted(address: str) -> str:
    """The address of a MongoDB, or of NATS servers with commas between, with `***` for all that may be secret."""
    if address.strip().lower().startswith("mongodb"):
        return _one(address.strip())
    return ",".join(_one(server) for server in _servers(address))


def redacted_text(text: str) -> str:
    """The text with `***` for what may be secret in the addresses that it holds: a net below all that write it."""
    return ADDRESS.sub(_cleaned, text)


def redacted_value(text: str) -> str:
    """What somebody gave for a setting, which may be an address in the wrong place."""
    return redacted(text) if "://" in text or _is_bare(text) else text


def explanation(error: BaseException, address: str) -> str:
    """What a driver says of an address that it cannot use, unless that repeats parts that may be secret."""
    said = str(error) or type(error).__name__
    if any(_repeats(said, word) for word in _secret_words(address)):
        return "it cannot be read, and what is said of it repeats parts that may be secret"
    return said


def _is_bare(text: str) -> bool:
    """Whether it is an address without its scheme, as `user:password@server` or `token@server`."""
    return text.rfind("@", 0, len(text) - 1) > 0 and not any(map(str.isspace, text))


def _repeats(said: str, word: str) -> bool:
    # a letter or two are in every sentence; whoever repeats them does so between others, as a word
    return word in said and (len(word) > SHORT or re.search(rf"(?<!\w){re.escape(word)}(?!\w)", said) is not None)


def _servers(address: str) -> Iterator[str]:
    # a password may hold a comma: a piece that names no host is then followed by one with an @, and no scheme
    pieces = [piece.strip() for piece in address.split(",")]
    start = 0
    for place in range(1, len(pieces) + 1):
        server = ",".join(pieces[start:place])
        following = pieces[place] if place < len(pieces) else ""
        open_ended = "@" not in server and "@" in "".join(pieces[place:])
        if not open_ended or SERVER.match(following):
            yield server
            start = place


def _one(address: str) -> str:
    found = SCHEME.fullmatch(address)
    assert found is not None
    scheme, rest = found[1] or "", found[2]
    head, mark, options = rest.partition("?")
    if "@" in options:  # nobody can tell whether the password has a question mark, or an option an @
        return f"{scheme}{HIDDEN}"
    user, at, place = head.rpartition("@")
    hosts, slash, path = place.partition("/")
    told = _user(user) + at if at else ""
    told += ",".join(host if HOST.fullmatch(host) else HIDDEN for host in hosts.split(","))
    told += slash + (path if PATH.fullmatch(path) else HIDDEN)
    return f"{scheme}{told}{mark}{'&'.join(map(_option, options.split('&'))) if options else ''}"


def _user(text: str) -> str:
    name, colon, _ = text.partition(":")
    # a name without a password is a token
    return f"{name}:{HIDDEN}" if colon and USER.fullmatch(name) else HIDDEN


def _cleaned(found: re.Match[str]) -> str:
    address = found[0].rstrip("'\"`),.;:>]}")
    if "@" not in address and not address.lower().startswith("mongodb"):
        return found[0]
    return redacted(address) + found[0][len(address) :]


def _option(text: str) -> str:
    name, _, value = text.partition("=")
    form = NARROWLY.get(name.lower(), VALUE if name.lower() in SHOWN else None)
    return text if form is not None and form.fullmatch(value) else HIDDEN


def _secret_words(address: str) -> set[str]:
    rest = address.partition("://")[2] or address
    head, _, options = rest.partition("?")
    secret = [head.rpartition("@")[0], rest.rpartition("@")[0]]
    secret += [option.partition("=")[2] or option for option in options.split("&")]
    forms = [form(text) for text in secret for form in (str, unquote, unquote_plus)]
    return {word for text in forms for word in (text, *DELIMITERS.split(text)) if word}
