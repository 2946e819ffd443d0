"""Settings: read once from the environment; a wrong one stops the start with its name and value."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError
from strawberry.http.websocket_origin import normalize_allowed_origins

from eventscope.errors import CannotStart
from eventscope.settings import PREFIX, Settings, load, variable

DOCUMENT = Path(__file__).parents[1] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


def test_without_any_variable_every_setting_has_its_default() -> None:
    assert load() == Settings()
    assert load().retention == {"*": 30.0}
    assert load().subjects == ("events.>",)


def test_each_variable_sets_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "mongo_url": ("mongodb://a,b/?replicaSet=x", "mongodb://a,b/?replicaSet=x"),
        "mongo_database": ("shop_1", "shop_1"),
        "mongo_driver": ("pymongo", "pymongo"),
        "nats_url": ("nats://a:4222,nats://b:4222", "nats://a:4222,nats://b:4222"),
        "nats_credentials_file": ("/run/user.creds", "/run/user.creds"),
        "nats_nkey_file": ("/run/user.nk", "/run/user.nk"),
        "nats_ca_file": ("/run/ca.pem", "/run/ca.pem"),
        "nats_certificate_file": ("/run/client.pem", "/run/client.pem"),
        "nats_key_file": ("/run/client.key", "/run/client.key"),
        "nats_domain": ("hub", "hub"),
        "stream": ("SHOP", "SHOP"),
        "subjects": (" shop.> , old.*.events.> ,", ("shop.>", "old.*.events.>")),
        "stream_max_bytes": ("0", 0),
        "stream_keep_hours": ("0.5", 0.5),
        "retention": ('{"*": 30, "websocket.*": 0.5, "user.*": 0}', {"*": 30, "websocket.*": 0.5, "user.*": 0}),
        "rejected_days": ("0.5", 0.5),
        "rejected_max_bytes": ("0", 0),
        "indexed_paths": (" data.email, metadata.tenant.id, data.email", ("data.email", "metadata.tenant.id")),
        "envelopes": ('{"orders.>": "cloudevents", "*": "nestjs"}', {"orders.>": "cloudevents", "*": "nestjs"}),
        "keep_headers": (" X-Tenant, Nats-*,*", ("X-Tenant", "Nats-*", "*")),
        "message_version": ('{"a.>": "expect", ">": "claim"}', {"a.>": "expect", ">": "claim"}),
        "host": ("0.0.0.0", "0.0.0.0"),
        "port": ("0", 0),
        "ingest_port": ("9001", 9001),
        "hosts": ("API.example.org., *.internal,*", ("api.example.org", "*.internal", "*")),
        "proxies": ("127.0.0.1, 10.0.0.0/8,fd00::/8", ("127.0.0.1", "10.0.0.0/8", "fd00::/8")),
        "origins": ("https://a.example,http://localhost:3000", ("https://a.example", "http://localhost:3000")),
        "connections": ("1", 1),
        "connections_per_address": ("1", 1),
        "header_seconds": ("2.5", 2.5),
        "body_seconds": ("60", 60.0),
        "client_rate": ("0", 0),
        "live_client_bytes": ("1024", 1024),
        "live_total_bytes": ("1024", 1024),
        "tail_events": ("0", 0),
        "worker_seconds": ("0", 0.0),
        "graphiql": ("false", False),
        "batch": ("5000", 5000),
        "lease_seconds": ("0.5", 0.5),
        "question_seconds": ("0.5", 0.5),
        "most_tokens": ("100000", 100_000),
        "most_depth": ("1", 1),
        "most_root_fields": ("1", 1),
        "most_fields": ("1", 1),
        "most_aliases": ("0", 0),
        "most_directives": ("0", 0),
        "most_entries": ("1000000", 1_000_000),
        "most_bytes": ("1048576", 1_048_576),
        "large_answers": ("1000", 1_000),
        "compiled": ("off", False),
        "log_level": ("debug", "debug"),
    }
    assert given.keys() == Settings.model_fields.keys()
    for field, (text, _) in given.items():
        monkeypatch.setenv(variable(field), text)
    assert load() == Settings.model_validate({field: value for field, (_, value) in given.items()})


@pytest.mark.parametrize("use", ["claim", "expect"])
def test_a_word_alone_decides_what_versions_mean_on_every_subject(monkeypatch: pytest.MonkeyPatch, use: str) -> None:
    monkeypatch.setenv("EVENTSCOPE_MESSAGE_VERSION", use)
    assert load().message_version == {">": use}


def test_words_may_be_in_upper_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTSCOPE_LOG_LEVEL", "INFO")
    monkeypatch.setenv("EVENTSCOPE_MONGO_DRIVER", "PyMongo")
    assert (load().log_level, load().mongo_driver) == ("info", "pymongo")


def test_settings_are_immutable() -> None:
    with pytest.raises(ValidationError):
        load().port = 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mongo_database", ""),
        ("mongo_database", "a.b"),
        ("mongo_database", "x" * 64),
        ("mongo_driver", "mysql"),
        ("stream", ""),
        ("stream", "two words"),
        ("stream", "a.b"),
        ("subjects", ""),
        ("subjects", " , "),
        ("indexed_paths", "email"),
        ("indexed_paths", "data"),
        ("indexed_paths", "data."),
        ("indexed_paths", "data..x"),
        ("indexed_paths", "data.0.x"),
        ("indexed_paths", "data.items.0"),
        ("indexed_paths", "data.$where"),
        ("indexed_paths", "data.a b"),
        ("indexed_paths", "data." + "x" * 196),
        ("indexed_paths", ",".join(f"data.x{n}" for n in range(17))),
        ("retention", ""),
        ("retention", "30"),
        ("retention", "{"),
        ("retention", "[1]"),
        ("retention", '{"*": "long"}'),
        ("retention", '{"*": null}'),
        ("retention", '{"*": -1}'),
        ("retention", '{"user.*": 36501}'),
        ("envelopes", "cloudevents"),
        ("envelopes", '{"*": "soap"}'),
        ("message_version", ""),
        ("message_version", "expects"),
        ("message_version", '"expect"'),
        ("message_version", '["expect"]'),
        ("message_version", '{"events.>": "expect"'),
        ("message_version", '{"events.>": "strict"}'),
        ("message_version", '{"events.>": null}'),
        ("message_version", '{"events.>.x": "expect"}'),
        ("message_version", '{"events..x": "expect"}'),
        ("message_version", '{"": "expect"}'),
        ("keep_headers", "two words"),
        ("keep_headers", "a*b"),
        ("keep_headers", "a:"),
        ("port", "x"),
        ("port", "-1"),
        ("port", "65536"),
        ("ingest_port", "65536"),
        ("hosts", "api.example.org:8000"),
        ("hosts", "https://api.example.org"),
        ("hosts", "api.*.org"),
        ("hosts", "bücher.example"),
        ("hosts", "a..b"),
        ("proxies", "*"),
        ("proxies", "proxy.example"),
        ("proxies", "10.0.0.1/8"),
        ("origins", "example.org"),
        ("origins", "https://a.example,https://b.example/path"),
        ("origins", "https://a.example:0"),
        ("origins", "https://a.example:99999"),
        ("origins", "https://user@a.example"),
        ("origins", "null"),
        ("graphiql", "maybe"),
        ("batch", "0"),
        ("batch", "5001"),
        ("batch", "1.5"),
        ("lease_seconds", "0.4"),
        ("lease_seconds", "61"),
        ("question_seconds", "0"),
        ("question_seconds", "301"),
        ("question_seconds", "nan"),
        ("question_seconds", "soon"),
        ("most_tokens", "99"),
        ("most_depth", "0"),
        ("most_depth", "101"),
        ("most_root_fields", "0"),
        ("most_fields", "0"),
        ("most_aliases", "-1"),
        ("most_directives", "-1"),
        ("most_entries", "0"),
        ("most_entries", "1000001"),
        ("log_level", "loud"),
    ],
)
def test_a_wrong_value_is_reported_with_its_variable(monkeypatch: pytest.MonkeyPatch, field: str, value: str) -> None:
    monkeypatch.setenv(variable(field), value)
    with pytest.raises(CannotStart) as stopped:
        load()
    shown = value.replace("//user@", "//***@")  # which may be secret
    name, _, reason = str(stopped.value).partition(f" is {shown!r}: ")
    assert name == variable(field)
    assert reason


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("port", "80a", "give a whole number from 0 to 65535"),
        ("batch", "5001", "give a whole number from 1 to 5000"),
        ("stream_max_bytes", "-1", "give a whole number of 0 or more"),
        ("question_seconds", "soon", "give a number above 0, up to 300"),
        ("lease_seconds", "61", "give a number from 0.5 to 60"),
        ("graphiql", "maybe", "give true or false"),
        ("log_level", "loud", "give debug, info, warning or error"),
        ("mongo_database", "a.b", "give 1 to 63 letters, digits, _ and -"),
        ("nats_domain", "a.b", "give 0 to 64 letters, digits, _ and -"),
        ("retention", "[1]", "give a JSON object"),
        ("retention", '{"*": "long"}', "'*': give a number"),
        ("message_version", '{"events.>": "strict"}', "'events.>': give claim or expect"),
    ],
)
def test_a_wrong_value_is_reported_with_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, field: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(variable(field), value)
    with pytest.raises(CannotStart) as stopped:
        load()
    assert str(stopped.value) == f"{variable(field)} is {value!r}: {allowed}"


def test_all_mistakes_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTSCOPE_PORT", "x")
    monkeypatch.setenv("EVENTSCOPE_BATCH", "y")
    with pytest.raises(CannotStart) as stopped:
        load()
    assert "EVENTSCOPE_PORT is 'x'" in str(stopped.value)
    assert "EVENTSCOPE_BATCH is 'y'" in str(stopped.value)


def test_a_mistake_next_to_a_secret_does_not_reveal_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTSCOPE_MONGO_URL", "mongodb://root:hunter2@db/")
    monkeypatch.setenv("EVENTSCOPE_PORT", "x")
    with pytest.raises(CannotStart) as stopped:
        load()
    assert "hunter2" not in str(stopped.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("EVENTSCOPE_MONGO_URI", "EVENTSCOPE_MONGO_URL"),
        ("EVENTSCOPE_MONGODB_URL", "EVENTSCOPE_MONGO_URL"),
        ("EVENTSCOPE_SUBJECT", "EVENTSCOPE_SUBJECTS"),
        ("EVENTSCOPE_RETENTIONS", "EVENTSCOPE_RETENTION"),
        ("EVENTSCOPE_Port", "EVENTSCOPE_PORT"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_one_that_was_probably_meant(
    monkeypatch: pytest.MonkeyPatch, name: str, meant: str
) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(CannotStart, match=f"^{name} is not a setting; did you mean {meant}\\?$"):
        load()


def test_an_unknown_variable_unlike_any_other_is_refused_with_where_all_are_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EVENTSCOPE_Q", "x")
    with pytest.raises(CannotStart, match=r"^EVENTSCOPE_Q is not a setting; docs/settings\.md lists them all$"):
        load()


def test_variables_of_other_programs_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTSCOPES", "x")
    monkeypatch.setenv("PORT", "x")
    assert load() == Settings()


@pytest.mark.parametrize("origin", ["*", "https://a.example", "https://a.example/", "http://[::1]:3000", "app://x"])
def test_an_origin_that_is_accepted_can_be_used_by_the_server(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    monkeypatch.setenv("EVENTSCOPE_ORIGINS", origin)
    assert normalize_allowed_origins(load().origins)


# docs/settings.md
