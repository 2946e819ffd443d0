"""How a client authenticates to NATS, besides the address: files with credentials, keys and certificates."""

import base64
import binascii
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Final, TypedDict

import nkeys
from nats import errors

SEED: Final = re.compile(r"SU[A-Z2-7]{56}")
JWT: Final = re.compile(r"-----BEGIN NATS USER JWT-----\s+(\S+)\s+-----")
JWT_SEED: Final = re.compile(r"-----BEGIN USER NKEY SEED-----\s+(\S+)\s+-----")


class BadAccess(errors.Error):
    """A file cannot be used, or two do not go together; `field` names the one to fix. The message holds no secret."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True, repr=False)
class NatsIdentity:
    """What proves our identity to a server: a key that signs its challenge, and the JWT of that key."""

    public_key: str
    sign: Callable[[str], bytes]
    """Returns the signature of a challenge, as base64."""
    jwt: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """Paths of files, and JetStream's domain; empty ones are not used.

    The files are read for each connection, so they may be replaced at any time.
    """

    credentials_file: str = ""
    """A JWT and its seed in one file, as `nsc` and managed NATS issue it."""
    nkey_file: str = ""
    """The seed of an nkey."""
    ca_file: str = ""
    """CA certificates for the server's certificate, instead of those that the machine trusts."""
    certificate_file: str = ""
    """Our own certificate, for a server that demands one."""
    key_file: str = ""
    """The private key of our own certificate, if it is not in the same file."""
    domain: str = ""
    """The domain of the streams, if it is not that of the server that we connect to."""

    @property
    def encrypted(self) -> bool:
        """Whether something is set that needs TLS."""
        return bool(self.ca_file or self.certificate_file)

    @property
    def api(self) -> str:
        """The prefix of the subjects of JetStream's API."""
        return f"$JS.{self.domain}.API" if self.domain else "$JS.API"

    def identity(self) -> NatsIdentity | None:
        """Our identity; None if no file is set for it. Raises BadAccess."""
        if self.credentials_file and self.nkey_file:
            raise BadAccess("both a credentials file and an nkey are set; set only one of them", "nkey_file")
        if self.credentials_file:
            text = _read(self.credentials_file, "the credentials file", "credentials_file")
            jwt, seed = JWT.search(text), JWT_SEED.search(text)
            if jwt is None or seed is None:
                raise BadAccess("the credentials file does not hold a user JWT and a seed", "credentials_file")
            return _identity(seed[1], "the seed in the credentials file", "credentials_file", jwt[1])
        if self.nkey_file:
            return _identity(_read(self.nkey_file, "the nkey file", "nkey_file").strip(), "the nkey file", "nkey_file")
        return None

    def check(self) -> None:
        """Raise BadAccess when a file cannot be used."""
        self.identity()
        self.tls()

    def tls(self) -> ssl.SSLContext | None:
        """The TLS context; None if nothing is set for it. Raises BadAccess."""
        if self.key_file and not self.certificate_file:
            raise BadAccess("a key is set without its certificate", "certificate_file")
        if not self.encrypted:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
        except (OSError, ValueError) as error:
            raise BadAccess(f"the file of CA certificates cannot be used ({_reason(error)})", "ca_file") from None
        if self.certificate_file:
            try:
                # without a password OpenSSL would ask for it on the terminal
                context.load_cert_chain(self.certificate_file, self.key_file or None, password="")
            except (OSError, ValueError) as error:
                field = "key_file" if self.key_file else "certificate_file"
                raise BadAccess(
                    f"the client certificate and its key, which must not be encrypted, cannot be used"
                    f" ({_reason(error)})",
                    field,
                ) from None
        return context


NO_ACCESS: Final = Access()


class NatsFiles(TypedDict, total=False):
    """`Access` as keyword arguments."""

    nats_credentials_file: str | PathLike[str]
    nats_nkey_file: str | PathLike[str]
    nats_ca_file: str | PathLike[str]
    nats_certificate_file: str | PathLike[str]
    nats_key_file: str | PathLike[str]
    nats_domain: str


def _identity(seed: str, what: str, field: str, jwt: str | None = None) -> NatsIdentity:
    try:
        if not SEED.fullmatch(seed):
            raise nkeys.ErrInvalidSeed
        key = nkeys.from_seed(bytearray(seed.encode()))  # type: ignore[no-untyped-call]  # it annotates nothing
        public = key.public_key.decode()
    except (nkeys.NkeysError, ValueError, binascii.Error):
        raise BadAccess(f"{what} is not the seed of a user, which begins with SU", field) from None
    return NatsIdentity(public, lambda challenge: base64.b64encode(key.sign(challenge.encode())), jwt)


def _read(path: str, what: str, field: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, ValueError) as error:
        raise BadAccess(f"{what} cannot be read ({_reason(error)})", field) from None


def _reason(error: Exception) -> str:
    # not the whole message: it may repeat the path, and somebody may have set a secret instead of a path
    if isinstance(error, ssl.SSLError):
        return error.reason or "it is not PEM"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
