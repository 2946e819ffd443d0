"""Files with access to NATS: read again for each connection, reported in a sentence when wrong, and never shown."""

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from traceback import format_exception
from typing import Any
from urllib.parse import quote

import orjson
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eventscope.errors import CannotStart
from eventscope.subscriptions.nats.access import Access, BadAccess
from eventscope.subscriptions.nats.stream import close, connect, ensure
from tests.support.locked_nats import Certificates, Key, Operator, locked_nats
from tests.support.until import until


async def refusal(url: str, access: Access) -> str:
    with pytest.raises(CannotStart) as raised:
        await close(await connect(url, "test", access=access))
    return str(raised.value)


@pytest.fixture(scope="module")
def operator() -> Operator:
    return Operator()


@pytest.fixture(scope="module")
def by_jwt(operator: Operator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with locked_nats(tmp_path_factory.mktemp("jwt"), **operator.config) as url:
        yield url


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with locked_nats(tmp_path_factory.mktemp("plain")) as url:
        yield url


@pytest.fixture
def by_password(tmp_path: Path) -> Iterator[Path]:
    """The folder of a server that requires a password, with the file of its process id."""
    more: Any = {"authorization": {"user": "me", "password": "s3cret"}, "pid_file": str(tmp_path / "pid")}
    with locked_nats(tmp_path, **more):
        yield tmp_path


@pytest.fixture(params=["password", "token"])
def by_odd_secret(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a server whose secret has characters that are escaped in addresses."""
    user, secret = "a:b", "s@cret,/%41+ ü"
    if request.param == "token":
        demanded, written = {"token": secret}, quote(secret, safe="")
    else:
        demanded, written = {"user": user, "password": secret}, f"{quote(user)}:{quote(secret, safe='')}"
    with locked_nats(tmp_path, authorization=demanded) as url:
        yield url.replace("//", f"//{written}@")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def by_certificate(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with locked_nats(tmp_path_factory.mktemp("tls"), **certificates.config(verify=True)) as url:
        yield url


@pytest.fixture(scope="module")
def by_choice(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    config = certificates.config(verify=False)
    with locked_nats(tmp_path_factory.mktemp("choice"), **config, allow_non_tls=True) as url:
        yield url


@pytest.mark.processes
async def test_unknown_and_expired_credentials_are_refused_in_a_sentence(
    by_jwt: str, operator: Operator, tmp_path: Path
) -> None:
    for text in (Operator().credentials(), operator.credentials(seconds=-5)):
        (tmp_path / "user.creds").write_text(text)
        said = await refusal(by_jwt, Access(credentials_file=str(tmp_path / "user.creds")))
        assert said.startswith(f"NATS at {by_jwt} refuses us ('Authorization Violation'); set what it requires")
        assert "EVENTSCOPE_NATS_CREDENTIALS_FILE" in said


@pytest.mark.processes
async def test_expired_credentials_are_read_again_and_the_connection_is_restored(
    by_jwt: str, operator: Operator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    file = tmp_path / "user.creds"
    file.write_text(operator.credentials(seconds=2))
    async with await connect(by_jwt, "test", access=Access(credentials_file=str(file))) as client:
        file.write_text("half of")
        await until(lambda: "does not hold a user JWT" in caplog.text)
        file.write_text(operator.credentials())
        await until(lambda: client.is_connected)
        await ensure(client.jetstream(), "AGAIN", ["again.>"])
    assert "expired" in caplog.text.lower()
    assert "BEGIN" not in caplog.text


@pytest.mark.processes
async def test_a_certificate_is_read_again_for_each_connection(
    by_certificate: str, certificates: Certificates, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    names = dict(zip(("certificate_file", "key_file"), certificates.client(), strict=True))
    mine = {name: tmp_path / name for name in names}

    def use(files: Certificates) -> None:
        for path, file in zip(mine.values(), files.client(), strict=True):
            path.write_bytes(Path(file).read_bytes())

    use(certificates)
    access = Access(ca_file=certificates.ca, **{name: str(path) for name, path in mine.items()})
    async with await connect(by_certificate, "test", access=access) as client:
        mine["key_file"].write_text("half of")
        await client.force_reconnect()
        await until(lambda: "cannot be used" in caplog.text)
        use(certificates)
        await until(lambda: client.is_connected)
        await client.flush()


@pytest.mark.processes
async def test_a_connection_survives_a_change_of_passwords_on_the_server(
    by_password: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    file = by_password / "nats.conf"
    right = file.read_text()
    url = f"nats://me:s3cret@127.0.0.1:{orjson.loads(right)['port']}"

    def give(config: str) -> None:
        file.write_text(config)
        os.kill(int((by_password / "pid").read_text()), signal.SIGHUP)

    async with await connect(url, "test") as client:
        give(right.replace("s3cret", "another"))
        await until(lambda: "Authorization Violation" in caplog.text)
        give(right)
        await until(lambda: client.is_connected)
        await client.flush()
    assert "s3cret" not in caplog.text


@pytest.mark.processes
async def test_credentials_in_the_address_are_decoded(by_odd_secret: str) -> None:
    async with await connect(by_odd_secret, "test") as client:
        await client.flush()


@pytest.mark.processes
async def test_a_server_that_does_not_encrypt_is_refused_if_encryption_is_required(
    plain: str, certificates: Certificates
) -> None:
    for url, access in (
        (plain.replace("nats://", "tls://"), Access()),
        (plain, Access(ca_file=certificates.ca)),
    ):
        assert "does not offer TLS, which is required" in await refusal(url, access)


@pytest.mark.processes
async def test_with_a_server_that_lets_its_clients_choose_the_connection_is_encrypted(
    by_choice: str, certificates: Certificates
) -> None:
    async with await connect(by_choice, "test", access=Access(ca_file=certificates.ca)) as client:
        writer: asyncio.StreamWriter | None = getattr(client._transport, "_io_writer", None)
        assert writer is not None
        assert writer.get_extra_info("cipher") is not None


@pytest.mark.processes
async def test_a_server_with_an_untrusted_certificate_is_refused(by_certificate: str, tmp_path: Path) -> None:
    for access in (Access(), Access(ca_file=Certificates(tmp_path).ca)):
        said = await refusal(by_certificate, access)
        assert said.startswith(f"the certificate of NATS at {by_certificate} is not trusted (")
        assert said.endswith("name the CA that signed it with EVENTSCOPE_NATS_CA_FILE")


@pytest.mark.processes
async def test_a_server_that_demands_a_certificate_is_reported_as_such(
    by_certificate: str, certificates: Certificates
) -> None:
    said = await refusal(by_certificate, Access(ca_file=certificates.ca))
    assert "CERTIFICATE_REQUIRED" in said
    assert "EVENTSCOPE_NATS_CERTIFICATE_FILE" in said


@pytest.mark.processes
async def test_a_domain_without_jetstream_is_named_as_the_probable_mistake(plain: str) -> None:
    async with await connect(plain, "test", access=Access(domain="nowhere")) as client:
        with pytest.raises(CannotStart, match="see that EVENTSCOPE_NATS_DOMAIN is its domain"):
            await ensure(client.jetstream(), "EVENTS", ["events.>"])


def test_an_encrypted_key_is_refused_without_a_prompt_for_its_password(tmp_path: Path) -> None:
    made = trustme.CA().issue_cert("client.example.org")
    key = serialization.load_pem_private_key(made.private_key_pem.bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"hunter2"),
    )
    (tmp_path / "key.pem").write_bytes(locked)
    made.cert_chain_pems[0].write_to_path(str(tmp_path / "certificate.pem"))
    access = Access(certificate_file=str(tmp_path / "certificate.pem"), key_file=str(tmp_path / "key.pem"))
    with pytest.raises(BadAccess, match="which must not be encrypted, cannot be used"):
        access.check()


@pytest.mark.parametrize(
    ("access", "field"),
    [
        (Access(credentials_file="a", nkey_file="b"), "nkey_file"),
        (Access(key_file="a"), "certificate_file"),
        (Access(credentials_file="\0"), "credentials_file"),
        (Access(ca_file="/dev/null"), "ca_file"),
        (Access(ca_file="\0"), "ca_file"),
    ],
)
def test_files_that_conflict_or_cannot_be_read_are_reported_with_their_setting(access: Access, field: str) -> None:
    with pytest.raises(BadAccess) as raised:
        access.check()
    assert raised.value.field == field


BROKEN = st.text(max_size=20) | st.sampled_from(["-----BEGIN NATS USER JWT-----\n", "\n", "SU", "-----"])


@settings(deadline=None)
@given(before=BROKEN, after=BROKEN, cut=st.integers(0, 57))
def test_a_file_that_is_broken_in_any_way_is_reported_without_its_content(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates, before: str, after: str, cut: int
) -> None:
    seed = Key("user").seed
    file = tmp_path_factory.getbasetemp() / "broken"
    text = f"{before}{seed[:cut]}{after}"
    assume(seed not in text)
    # two bits of the last character mean nothing, so another character can give the same seed
    assume(text.strip()[:-1] != seed[:-1])
    file.write_text(text)
    path, ca = str(file), certificates.ca  # reading all of the system's CAs each time would take a minute
    # even if the secret was given in place of the path
    for access in (
        Access(credentials_file=path),
        Access(nkey_file=path),
        Access(ca_file=path),
        Access(ca_file=ca, certificate_file=path),
        Access(nkey_file=seed),
        Access(credentials_file=f"-----BEGIN NATS USER JWT-----\n{seed}"),
        Access(ca_file=seed),
        Access(ca_file=ca, certificate_file=seed, key_file=seed),
    ):
        with pytest.raises(BadAccess) as raised:
            access.check()
        assert seed[2:20] not in "".join(format_exception(raised.value))
