"""Addresses of servers without their secrets, for messages: `***` replaces everything that may be secret."""

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
# options that are not secret and help to find out why a server cannot be reached
SAFE_OPTIONS: Final = frozenset({"authsource", "directconnection", "readpreference", "replicaset", "ssl", "tls"})
# options that are safe in this form only
SAFE_FORMS: Final = {"authmechanism": re.compile(r"[A-Z0-9-]{1,20}"), "w": re.compile(r"\d{1,3}|majority")}
ADDRESS: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{0,30}://\S+")  # bounded, since a match is tried at every character
SHORT: Final = 2  # characters
DELIMITERS: Final = re.compile(r"[:/?#\[\]@!$&'()*+,;=\s]+")


def redacted(address: str) -> str:
    """The address of a MongoDB, or of NATS servers separated by commas, with `***` for what may be secret."""
    if address.strip().lower().startswith("mongodb"):
        return _one(address.strip())
    return ",".join(_one(server) for server in _servers(address))


def redacted_text(text: str) -> str:
    """The text with `***` for what may be secret in its addresses: a safety net under all logs and output."""
    return ADDRESS.sub(_redact_match, text)


def redacted_value(text: str) -> str:
    """The value of a setting with `***` for secrets: it may be an address in the wrong place."""
    return redacted(text) if "://" in text or _is_bare(text) else text


def explanation(error: BaseException, address: str) -> str:
    """The message of a driver that cannot use an address, unless it repeats parts that may be secret."""
    message = str(error) or type(error).__name__
    if any(_repeats(message, word) for word in _secret_words(address)):
        return "it cannot be read, and the driver's message repeats parts of it that may be secret"
    return message


def _is_bare(text: str) -> bool:
    """Whether it is an address without its scheme, like `user:password@server` or `token@server`."""
    return text.rfind("@", 0, len(text) - 1) > 0 and not any(map(str.isspace, text))


def _repeats(message: str, word: str) -> bool:
    # one or two characters occur in every sentence: they count only as a word of their own
    return word in message and (len(word) > SHORT or re.search(rf"(?<!\w){re.escape(word)}(?!\w)", message) is not None)


def _servers(address: str) -> Iterator[str]:
    # a comma may belong to a password: then a piece without an @ comes before one that has an @ but no scheme
    pieces = [piece.strip() for piece in address.split(",")]
    start = 0
    for end in range(1, len(pieces) + 1):
        server = ",".join(pieces[start:end])
        next_piece = pieces[end] if end < len(pieces) else ""
        may_continue = "@" not in server and "@" in "".join(pieces[end:])
        if not may_continue or SERVER.match(next_piece):
            yield server
            start = end


def _one(address: str) -> str:
    match = SCHEME.fullmatch(address)
    assert match is not None
    scheme, rest = match[1] or "", match[2]
    head, mark, options = rest.partition("?")
    if "@" in options:  # either the password contains a question mark, or an option contains an @
        return f"{scheme}{HIDDEN}"
    user, at, target = head.rpartition("@")
    hosts, slash, path = target.partition("/")
    text = _user(user) + at if at else ""
    text += ",".join(host if HOST.fullmatch(host) else HIDDEN for host in hosts.split(","))
    text += slash + (path if PATH.fullmatch(path) else HIDDEN)
    return f"{scheme}{text}{mark}{'&'.join(map(_option, options.split('&'))) if options else ''}"


def _user(text: str) -> str:
    name, colon, _ = text.partition(":")
    # a name without a password is a token
    return f"{name}:{HIDDEN}" if colon and USER.fullmatch(name) else HIDDEN


def _redact_match(match: re.Match[str]) -> str:
    address = match[0].rstrip("'\"`),.;:>]}")
    if "@" not in address and not address.lower().startswith("mongodb"):
        return match[0]
    return redacted(address) + match[0][len(address) :]


def _option(text: str) -> str:
    name, _, value = text.partition("=")
    form = SAFE_FORMS.get(name.lower(), VALUE if name.lower() in SAFE_OPTIONS else None)
    return text if form is not None and form.fullmatch(value) else HIDDEN


def _secret_words(address: str) -> set[str]:
    rest = address.partition("://")[2] or address
    head, _, options = rest.partition("?")
    secret = [head.rpartition("@")[0], rest.rpartition("@")[0]]
    secret += [option.partition("=")[2] or option for option in options.split("&")]
    forms = [form(text) for text in secret for form in (str, unquote, unquote_plus)]
    return {word for text in forms for word in (text, *DELIMITERS.split(text)) if word}
