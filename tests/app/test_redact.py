"""Addresses are shown without their secrets, whatever these are made of."""

import logging
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventscope.errors import CannotStart
from eventscope.redact import explained, shown
from eventscope.settings import PREFIX, Settings, load
from eventscope.store.driver import Driver, connect
from eventscope.subscriptions.stream import connect as connect_nats

WORDS = st.text(min_size=1, max_size=12)
# recognizable, for a letter of any secret is somewhere in every address
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
        assert not leaks(shown(address)), address
        assert not leaks(explained(ValueError(f"no port: {value!r} or {password!r} in {address}"), address))


@given(NAMES, ESCAPED, ESCAPED, HOSTS, st.sampled_from(["nats://", "tls://", "ws://", "wss://", ""]))
def test_no_secret_of_a_nats_address_is_shown(
    user: str, password: str, token: str, hosts: list[str], scheme: str
) -> None:
    servers = [f"{scheme}{user}:{password}@{host}" for host in hosts] + [f"{scheme}{token}@last:4222"]
    text = shown(", ".join(servers))
    assert not leaks(text)
    for host in [*hosts, "last:4222"]:
        assert f"@{host}" in text


@given(NAMES, SECRETS.filter(lambda text: "@" not in text))
def test_a_password_that_nobody_escaped_is_not_shown_either(user: str, password: str) -> None:
    assert not leaks(shown(f"nats://{user}:{password}@host:4222"))
    assert not leaks(shown(f"{user}:{password}@host:4222"))


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
def test_what_helps_to_find_the_server_is_shown(address: str, text: str) -> None:
    assert shown(address) == text


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
