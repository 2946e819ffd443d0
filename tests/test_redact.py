"""Addresses are shown without their secrets, whatever characters these have, and wherever they are shown."""

import asyncio
import logging
import os
import re
import subprocess
import sys
from base64 import b64encode
from traceback import format_exception
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from eventscope.client.api import ApiClient
from eventscope.doctor.finding import broken
from eventscope.errors import CannotStart
from eventscope.redact import explanation, redacted, redacted_text, redacted_value
from eventscope.settings import PREFIX, Settings, load, variable
from eventscope.store.mongo.driver import Driver, connect
from eventscope.subscriptions.nats.access import Access
from eventscope.subscriptions.nats.stream import connect as connect_nats
from eventscope.terminal import SafeFormatter

WORDS = st.text(min_size=1, max_size=12)
# recognizable, since any single letter occurs in every address
SECRETS = WORDS.map(lambda text: f"hunter{text}2secret")
ESCAPED = SECRETS.map(lambda text: quote(text, safe=""))
NAMES = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8)
HOSTS = st.lists(
    st.tuples(NAMES, st.integers(1, 65535)).map(lambda pair: f"{pair[0]}:{pair[1]}"), min_size=1, max_size=3
)
OPTIONS = st.sampled_from(
    ["tlsCertificateKeyFilePassword", "authMechanismProperties", "proxyPassword", "AWS_SESSION_TOKEN", "x", ""]
)
PREFIXES = st.sampled_from(["", "AWS_SESSION_TOKEN:", "SERVICE_NAME:a,AWS_SESSION_TOKEN:"])


def leaks(text: str) -> bool:
    return any(part in text for part in ("hunter", "2secret"))


@given(
    NAMES, SECRETS | ESCAPED, HOSTS, OPTIONS, PREFIXES, SECRETS | ESCAPED, st.sampled_from(["mongodb", "mongodb+srv"])
)
def test_no_secret_of_a_mongodb_address_is_shown(
    user: str, password: str, hosts: list[str], option: str, prefix: str, value: str, scheme: str
) -> None:
    place = ",".join(hosts)
    for address in (
        f"{scheme}://{user}:{password}@{place}/db?replicaSet=rs0&{option}={prefix}{value}",
        f"{scheme}://{user}:{password}@{place}",
        f"{scheme}://{password.replace(':', '')}@{place}/?w=majority",  # what is before a colon is a name
        f"{scheme}://{place}/?{option}={prefix}{value}&tls=true",
        f"{scheme}://{place}/db?{value}",
    ):
        assert not leaks(redacted(address)), address
        assert not leaks(explanation(ValueError(f"no port: {value!r} or {password!r} in {address}"), address))


@given(NAMES, ESCAPED, ESCAPED, HOSTS, st.sampled_from(["nats://", "tls://", "ws://", "wss://", ""]))
def test_no_secret_of_a_nats_address_is_shown(
    user: str, password: str, token: str, hosts: list[str], scheme: str
) -> None:
    servers = [f"{scheme}{user}:{password}@{host}" for host in hosts] + [f"{scheme}{token}@last:4222"]
    text = redacted(", ".join(servers))
    assert not leaks(text)
    for host in [*hosts, "last:4222"]:
        assert f"@{host}" in text


@given(NAMES, SECRETS.filter(lambda text: "@" not in text))
def test_an_unescaped_password_is_not_shown_either(user: str, password: str) -> None:
    assert not leaks(redacted(f"nats://{user}:{password}@host:4222"))
    assert not leaks(redacted(f"{user}:{password}@host:4222"))


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("mongodb://user:pa,ss@host", "mongodb://user:***@host"),
        ("mongodb://user:pa/ss@h1:1,h2:2/db", "mongodb://user:***@h1:1,h2:2/db"),
        ("mongodb://user:pa?ss@host", "mongodb://***"),
        ("mongodb://host/?authMechanismProperties=AWS_SESSION_TOKEN:a@b", "mongodb://***"),
        ("mongodb://h/?replicaSet=rs0&tlsCertificateKeyFilePassword=s", "mongodb://h/?replicaSet=rs0&***"),
        ("mongodb://a%40b:p%40@[::1]:27017/?tls=true", "mongodb://a%40b:***@[::1]:27017/?tls=true"),
        ("mongodb://user:word", "mongodb://***"),
        ("nats://me:1,2@h1,nats://h2", "nats://me:***@h1,nats://h2"),
        ("nats://h1:1,h2:2,nats://me:p@h3", "nats://h1:1,h2:2,nats://me:***@h3"),
        ("http://ada:p@host:8000/graphql", "http://ada:***@host:8000/graphql"),
        ("", ""),
    ],
)
def test_the_parts_of_an_address_that_help_to_find_the_server_are_shown(address: str, text: str) -> None:
    assert redacted(address) == text


@pytest.mark.parametrize(
    "address",
    [
        "mongodb://user:hunter/2secret@host",
        "mongodb://user:hunter@2secret@host",
        "mongodb://host/?tls=hunter2secret",
        "mongodb://host/?maxPoolSize=hunter2secret",
        "mongodb://host/?authMechanismProperties=hunter2secret",
        "mongodb://host/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:hunter,2secret",
        "mongodb://user:hunter2secret@host:port",
    ],
)
@pytest.mark.parametrize("driver", ["motor", "pymongo"])
async def test_a_driver_that_cannot_use_an_address_repeats_no_secret(
    address: str, driver: Driver, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    caplog.set_level(logging.DEBUG, "eventscope")
    said = ""
    try:
        async with connect(address, "test", driver):
            pass
    except CannotStart as error:
        said = str(error)
    assert not leaks(said + caplog.text)
    assert not [warning for warning in recwarn if leaks(str(warning.message))]


@pytest.mark.parametrize(
    "address", ["nats://me:hunter/2secret@host", "nats://me:[hunter2secret@host", "nats://me:hunter2secret@host:x"]
)
async def test_a_nats_address_that_cannot_be_read_is_not_repeated(address: str) -> None:
    with pytest.raises(CannotStart) as refused:
        await connect_nats(address, "test", seconds=0.5)
    assert not leaks(str(refused.value))


@pytest.mark.parametrize("address", ["nats://me:p@host", "mongodb://me:pw@host/", "nats://s@host"])
def test_a_secret_of_one_or_two_letters_hides_no_reason_that_does_not_repeat_it(address: str) -> None:
    assert explanation(OSError("no place named host is reachable"), address) == "no place named host is reachable"


@pytest.mark.parametrize("said", ["no port: 'p'", "p@host is none", "nats://me:p@host", "x p", "me?"])
def test_a_secret_of_one_letter_is_not_repeated_as_a_word_of_its_own(said: str) -> None:
    assert "may be secret" in explanation(ValueError(said), "nats://me:p@host")


@pytest.mark.parametrize("said", ["xpwdx", "pwd", "sipwdo"])
def test_a_longer_secret_is_not_repeated_anywhere(said: str) -> None:
    assert "may be secret" in explanation(ValueError(said), "nats://me:pwd@host")


@given(st.text("a:@/ ", max_size=12))
def test_a_text_with_a_secret_before_a_server_is_an_address_wherever_it_is_given(text: str) -> None:
    is_address = "://" in text or re.fullmatch(r"\S+@\S+", text)
    assert redacted_value(text) == (redacted(text) if is_address else text)


def test_settings_show_no_secret() -> None:
    given = Settings(mongo_url="mongodb://me:hunter@h", nats_url="nats://2secret@h")
    assert not leaks(repr(given) + str(given))


@pytest.mark.parametrize("name", ["MONGO_DATABASE", "BATCH", "ORIGINS", "ENVELOPES", "HOSTS", "RETENTION"])
@pytest.mark.parametrize("scheme", ["mongodb", "nats"])
def test_an_address_in_the_place_of_another_setting_is_refused_without_its_secret(
    name: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREFIX + name, f"{scheme}://me:hunter2secret@host.example.org:27017/")
    with pytest.raises(CannotStart) as refused:
        load()
    assert str(refused.value).startswith(f"{PREFIX}{name} is ")
    assert not leaks(str(refused.value))


ADDRESSES = [
    "mongodb://ada:hunter2secret@127.0.0.1:9/?x=hunter2secret",
    "mongodb://127.0.0.1:9/?tlsCertificateKeyFilePassword=hunter2secret",
    "mongodb://127.0.0.1:9/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:hunter2secret",
    "mongodb://127.0.0.1:9/?authMechanism=hunter2secret&w=hunter2secret",
    "nats://ada:hunter2secret@127.0.0.1:9",
    "nats://hunter2secret@127.0.0.1:9",
    "nats://127.0.0.1:9,nats://ada:hunter2secret@127.0.0.1:9",
    "https://ada:hunter2secret@127.0.0.1:9",
]
# which nothing distinguishes from other words of a text, but they are not values of a setting either
WITHOUT_SCHEME = [
    "ada:hunter2secret@127.0.0.1:9",
    "hunter2secret@127.0.0.1:9",
    "hunter2secret@localhost",
]


@pytest.mark.parametrize("field", Settings.model_fields)
@pytest.mark.parametrize("address", [*ADDRESSES, *WITHOUT_SCHEME])
def test_an_address_in_the_place_of_another_setting_is_not_repeated(
    field: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable(field), address)
    try:
        said = repr(load()) if field.startswith(("mongo_url", "nats_url")) else ""
    except CannotStart as error:
        said = "".join(format_exception(error))
    assert not leaks(said)


def test_wrong_settings_passed_by_a_program_are_not_repeated() -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({"mongo_database": ADDRESSES[0], "nats_url": ["hunter2secret"]})
    assert not leaks(str(refused.value))


@given(st.text(max_size=10), st.sampled_from(ADDRESSES), st.sampled_from(["", "'", '"', ")", ",", ": x", " y"]))
def test_no_secret_of_an_address_remains_in_a_text(before: str, address: str, after: str) -> None:
    text = f"{before} {address}{after}"
    assert not leaks(redacted_text(text))
    record = logging.LogRecord("n", logging.ERROR, "", 0, "%s", (text,), None)
    assert not leaks(SafeFormatter("%(message)s").format(record))
    assert not leaks(str(broken("x", text, "").data))


@pytest.mark.parametrize(
    "text",
    ["", "ada@example.com wrote a@b:c", "see https://example.org/a?b=c.", "'nats://127.0.0.1:4222' is", "a://b"],
)
def test_texts_without_secrets_stay_as_they_are(text: str) -> None:
    assert redacted_text(text) == text


@pytest.mark.processes
@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (("ingest",), {"MONGO_URL": f"{ADDRESSES[0]}&serverSelectionTimeoutMS=100", "NATS_URL": ADDRESSES[4]}),
        (("rejected", "list"), {"MONGO_URL": f"{ADDRESSES[1]}&tls=true&tlsCertificateKeyFile=/nope"}),
        (("recount",), {"MONGO_URL": f"{ADDRESSES[2]}&serverSelectionTimeoutMS=100"}),
        (("doctor", "--json"), {"MONGO_URL": ADDRESSES[3], "NATS_URL": ADDRESSES[5]}),
        (("doctor", "--nats-monitor", ADDRESSES[7]), {"NATS_URL": ADDRESSES[6]}),
        (("import", ADDRESSES[4]), {"NATS_URL": ADDRESSES[4]}),
        (("sample", "--server", ADDRESSES[5]), {}),
        (("tail", "--api", ADDRESSES[7]), {}),
        (("export", "-", "--api", ADDRESSES[7]), {}),
        (("tail", "--api", "http://ada:hunter2secret@h:port"), {}),
    ],
    ids=lambda one: " ".join(one[:2]) if isinstance(one, tuple) else "",
)
def test_no_command_reveals_a_secret_or_ends_in_a_traceback_even_when_everything_is_logged(
    arguments: tuple[str, ...], given: dict[str, str]
) -> None:
    clean = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
    done = subprocess.run(
        [sys.executable, "-m", "eventscope", *arguments],
        env=clean | {f"{PREFIX}{name}": text for name, text in {"LOG_LEVEL": "debug", **given}.items()},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert not leaks(done.stdout + done.stderr)
    assert "Traceback" not in done.stderr


async def test_the_password_of_an_api_is_sent_in_a_header_and_appears_in_no_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    heard: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n" + b'{"data":{}}')
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        api = ApiClient(f"http://ada:hunter%402secret@127.0.0.1:{port}")
        assert await api.query("{ a }", {}) == {}
        await api.close()
    assert f"Authorization: Basic {b64encode(b'ada:hunter@2secret').decode()}" in heard[0]
    assert not leaks(caplog.text)


async def test_no_object_that_holds_a_connection_shows_its_secrets() -> None:
    address = "mongodb://ada:hunter2secret@h/?tls=true&tlsCertificateKeyFilePassword=hunter2secret"
    drivers: tuple[Driver, ...] = ("motor", "pymongo")
    for driver in drivers:
        try:
            async with connect(address, "test", driver) as mongo:
                assert not leaks(repr(mongo))
        except CannotStart as error:
            assert not leaks(str(error))
    assert not leaks(repr(Access(nkey_file="hunter2secret")))
