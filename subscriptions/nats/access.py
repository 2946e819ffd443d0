"""How NATS lets us in, beside what its address says: files with credentials, keys and certificates, and the domain."""

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
    """A file cannot be used, or two do not go together; `field` names the one to mend. No secret is in the message."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True, repr=False)
class NatsIdentity:
    """What proves to a server who we are: a key that signs its challenge, and the JWT that the key belongs to."""

    public_key: str
    sign: Callable[[str], bytes]
    """The signature of a challenge, as base64."""
    jwt: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """Paths of files, and JetStream's domain; what is empty is not used.

    The files are read anew for each connection, so that they may be replaced at any time.
    """

    credentials_file: str = ""
    """A JWT and its seed in one file, as `nsc` and managed NATS give it out."""
    nkey_file: str = ""
    """The seed of an nkey."""
    ca_file: str = ""
    """Certificates that the server's is checked against, instead of those that the machine trusts."""
    certificate_file: str = ""
    """Our own certificate, for a server that demands one."""
    key_file: str = ""
    """The private key of our own certificate, where it is not in the same file."""
    domain: str = ""
    """Where the streams are, if that is not the domain of the server that we connect to."""

    @property
    def encrypted(self) -> bool:
        """Whether something is set that is of no use without TLS."""
        return bool(self.ca_file or self.certificate_file)

    @property
    def api(self) -> str:
        """What the subjects of JetStream's API begin with."""
        return f"$JS.{self.domain}.API" if self.domain else "$JS.API"

    def identity(self) -> NatsIdentity | None:
        """Who we are; None where no file says. Raises BadAccess."""
        if self.credentials_file and self.nkey_file:
            raise BadAccess("a credentials file and an nkey are given, and one of them is enough", "nkey_file")
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
        """Raise BadAccess when a file is not what it should be."""
        self.identity()
        self.tls()

    def tls(self) -> ssl.SSLContext | None:
        """How to encrypt; None where nothing is set for it. Raises BadAccess."""
        if self.key_file and not self.certificate_file:
            raise BadAccess("a key is given without its certificate", "certificate_file")
        if not self.encrypted:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
        except (OSError, ValueError) as error:
            raise BadAccess(f"the file of CA certificates cannot be used ({_said(error)})", "ca_file") from None
        if self.certificate_file:
            try:
                # without a password OpenSSL would ask for it on the terminal
                context.load_cert_chain(self.certificate_file, self.key_file or None, password="")
            except (OSError, ValueError) as error:
                field = "key_file" if self.key_file else "certificate_file"
                raise BadAccess(
                    f"the client certificate and its key, which must not be encrypted, cannot be used ({_said(error)})",
                    field,
                ) from None
        return context


NO_ACCESS: Final = Access()


class NatsFiles(TypedDict, total=False):
    """`Access` as keywords: paths of files, and a name."""

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
        raise BadAccess(f"{what} cannot be read ({_said(error)})", field) from None


def _said(error: Exception) -> str:
    # not the whole: it may repeat the path, and somebody may have put a secret there in place of one
    if isinstance(error, ssl.SSLError):
        return error.reason or "it is not PEM"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
