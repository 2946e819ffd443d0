"""Before a library's internals are used, a check shows that they exist and are as expected."""

from importlib.metadata import version

import pytest
import strawberry
from nats.aio.client import Client
from pymongo import synchronous
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from eventscope.errors import CannotStart
from eventscope.http import websocket_handler
from eventscope.http.uvicorn import http_protocol, server, websocket_protocol
from eventscope.internals import Internals
from eventscope.schema.build import build
from eventscope.schema.compiled import internals
from eventscope.store.mongo import driver, raw
from eventscope.subscriptions.nats import client

ALL = [
    *internals.NEEDED,
    *internals.COMPILED,
    client.INTERNALS,
    driver.INTERNALS,
    raw.INTERNALS,
    server.INTERNALS,
    http_protocol.INTERNALS,
    websocket_protocol.INTERNALS,
    websocket_handler.INTERNALS,
]


class Library:
    here = 1

    def __init__(self) -> None:
        self.of_instances = 1

    def method(self, first: int, second: int = 2) -> None: ...


def of_library(**names: str) -> Internals:
    return Internals("nats-py", {Library: names}, {Library: "here of_instances"})


@pytest.mark.parametrize("needed", ALL, ids=lambda needed: needed.distribution)
def test_the_installed_libraries_have_everything_that_is_used(needed: Internals) -> None:
    assert needed.fault() is None


def test_what_is_present_is_no_fault() -> None:
    assert of_library(method="first second").fault() is None


@pytest.mark.parametrize("names", [{"method": "first"}, {"method": "first other"}, {"gone": ""}, {"here": ""}])
def test_a_missing_or_changed_method_is_named_in_a_sentence_with_the_version(names: dict[str, str]) -> None:
    [(name, parameters)] = names.items()
    assert of_library(**names).fault() == (
        f"nats-py {version('nats-py')} lacks Library.{name}({', '.join(parameters.split())}), on which Eventscope"
        " depends; install the version in requirements/run.txt"
    )


def test_a_missing_attribute_is_named() -> None:
    fault = Internals("nats-py", attributes={Library: "here gone", pytest: "nothing"}).fault()
    assert fault is not None
    assert " lacks Library.gone, pytest.nothing, on which" in fault


@pytest.mark.parametrize(
    ("owner", "name", "needed"),
    [
        (strawberry.Schema, "process_errors", internals.NEEDED[0]),
        (Client, "_process_info", client.INTERNALS),
        (Client, "_read_loop", client.INTERNALS),
        (HttpToolsProtocol, "on_headers_complete", http_protocol.INTERNALS),
        (WebSocketsSansIOProtocol, "keepalive_timeout", websocket_protocol.INTERNALS),
        (BaseGraphQLTransportWSHandler, "_send_result_stream", websocket_handler.INTERNALS),
        (synchronous.topology.Topology, "get_server_selection_timeout", driver.INTERNALS),
    ],
)
def test_an_internal_that_another_version_lacks_prevents_the_start(
    owner: type, name: str, needed: Internals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, None)  # some of these are inherited and cannot be deleted
    with pytest.raises(CannotStart, match=rf"lacks {owner.__name__}\.{name}\("):
        needed.demand()


def test_no_schema_is_built_without_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strawberry.Schema, "process_errors", None)
    with pytest.raises(CannotStart, match=r"strawberry-graphql .* lacks Schema\.process_errors\("):
        build()
