"""NATS servers that require a credentials file, an nkey or a certificate; and the files that they require."""

import base64
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nkeys
import orjson
import trustme

from eventscope.dev.servers import Nats, run_server
from eventscope.processes.ports import HOST

PREFIXES = {
    "operator": nkeys.PREFIX_BYTE_OPERATOR,
    "account": nkeys.PREFIX_BYTE_ACCOUNT,
    "user": nkeys.PREFIX_BYTE_USER,
}


@dataclass(frozen=True, slots=True)
class LockedNats(Nats):
    """A NATS server with additional configuration."""

    more: Mapping[str, Any]

    def command(self) -> list[str]:
        """Prepare the folder; returns the command line."""
        command = Nats.command(self)
        file = Path(command[-1])
        config = orjson.loads(file.read_bytes())
        for name, value in self.more.items():
            config[name] = config.get(name, {}) | value if isinstance(value, dict) else value
        file.write_bytes(orjson.dumps(config))
        return command


@contextmanager
def locked_nats(folder: Path, **more: Any) -> Iterator[str]:
    """Such a server for the length of the block; gives its address."""
    with run_server(lambda place, port: LockedNats(place, port, more), folder) as server:
        yield server.url


class Key:
    """A key pair of NATS. (The nkeys package has no type annotations.)"""

    def __init__(self, kind: str) -> None:
        self.seed: str = nkeys.encode_seed(os.urandom(32), PREFIXES[kind]).decode()  # type: ignore[no-untyped-call]
        self._pair = nkeys.from_seed(bytearray(self.seed.encode()))  # type: ignore[no-untyped-call]
        self.public: str = self._pair.public_key.decode()

    def jwt(self, subject: str, claims: Mapping[str, Any], **more: Any) -> str:
        """A JWT about that subject, signed by this key."""
        header = {"typ": "JWT", "alg": "ed25519-nkey"}
        body = {"jti": "x", "iat": int(time.time()), "iss": self.public, "name": "test", "sub": subject, **more}
        text = ".".join(_base64(orjson.dumps(part)) for part in (header, body | {"nats": {**claims, "version": 2}}))
        return f"{text}.{_base64(self._pair.sign(text.encode()))}"


class Operator:
    """The operator, who signs JWTs for accounts and users; it has one account, which may use JetStream."""

    def __init__(self) -> None:
        self._key, self._account, self._system = Key("operator"), Key("account"), Key("account")

    @property
    def config(self) -> dict[str, Any]:
        """The configuration for a server."""
        limits = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
        limits |= dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), -1) | {"wildcards": True}
        accounts = {
            key.public: self._key.jwt(key.public, {"type": "account", "limits": limits | more})
            for key, more in (
                (self._account, {}),
                (self._system, dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), 0)),
            )
        }
        return {
            "operator": self._key.jwt(self._key.public, {"type": "operator", "system_account": self._system.public}),
            "system_account": self._system.public,
            "resolver": "MEMORY",
            "resolver_preload": accounts,
        }

    def credentials(self, seconds: float | None = None) -> str:
        """The text of a credentials file for a new user, valid for this many seconds."""
        user = Key("user")
        more = {} if seconds is None else {"exp": int(time.time() + seconds)}
        claims = {"type": "user", "subs": -1, "data": -1, "payload": -1}
        jwt = self._account.jwt(user.public, claims, **more)
        return (
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
        )


class Certificates:
    """A certification authority, with the certificates of a server and a client as files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self._folder = folder
        self.ca = str(folder / "ca.pem")
        self._authority.cert_pem.write_to_path(self.ca)

    def config(self, *, verify: bool) -> dict[str, Any]:
        """The configuration for a server, which requires certificates from its clients if `verify` is set."""
        certificate, key = self._files(HOST)
        tls = {"cert_file": certificate, "key_file": key, "ca_file": self.ca, "verify": verify}
        return {"tls": tls}

    def client(self) -> tuple[str, str]:
        """The files of a certificate for a client and of its key."""
        return self._files("client.example.org")

    def _files(self, name: str) -> tuple[str, str]:
        made = self._authority.issue_cert(name)
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        made.cert_chain_pems[0].write_to_path(str(certificate))
        made.private_key_pem.write_to_path(str(key))
        return str(certificate), str(key)


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
