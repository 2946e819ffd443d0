"""Who the client is, whatever the headers claim. No I/O."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventscope.http.edge.proxies import Forwarded, Proxies

PROXIES = Proxies(["10.0.0.0/8", "127.0.0.1", "fd00::/8"])
OUTSIDE = st.ip_addresses(v=4, network="198.51.100.0/24").map(str) | st.ip_addresses(v=6, network="2001:db8::/32").map(
    str
)
INSIDE = st.ip_addresses(v=4, network="10.0.0.0/8").map(str) | st.ip_addresses(v=6, network="fd00::/8").map(str)


def client(peer: str, *values: str) -> str | None:
    found = PROXIES.forwarded(peer, [(b"x-forwarded-for", value.encode("latin-1")) for value in values])
    return None if found is None else found.client


def with_port(address: str) -> str:
    return f"[{address}]:4711" if ":" in address else f"{address}:4711"


@given(peer=OUTSIDE, said=OUTSIDE | INSIDE)
def test_reports_of_a_peer_that_is_not_a_proxy_are_ignored(peer: str, said: str) -> None:
    assert client(peer, said) is None
    assert PROXIES.forwarded(peer, [(b"x-forwarded-host", b"api.example.org")]) is None


@given(
    written=st.lists(OUTSIDE | INSIDE | st.sampled_from(["unknown", "", "evil", "127.0.0.1"]), max_size=4),
    real=OUTSIDE,
    hops=st.lists(INSIDE, max_size=3),
    peer=INSIDE,
    ports=st.booleans(),
    several=st.booleans(),
)
def test_the_client_is_the_peer_of_the_outermost_proxy_whatever_the_client_wrote(
    written: list[str], real: str, hops: list[str], peer: str, ports: bool, several: bool
) -> None:
    way = [*written, *(map(with_port, [real, *hops]) if ports else [real, *hops])]
    assert client(peer, *(way if several else [", ".join(way)])) == real


@pytest.mark.parametrize("said", [[], [""], ["unknown"], ["_hidden"], ["198.51.100.1, unknown"], ["evil.example"]])
def test_if_a_proxy_does_not_report_its_peer_the_proxy_is_the_client(said: list[str]) -> None:
    assert client("10.1.2.3", *said) == "10.1.2.3"


def test_if_all_are_proxies_the_outermost_is_the_client() -> None:
    assert client("10.1.2.3", "10.0.0.1, 10.0.0.2") == "10.0.0.1"


def test_an_ipv4_address_is_the_same_when_it_is_written_as_ipv6() -> None:
    assert client("::ffff:127.0.0.1", "::ffff:198.51.100.1") == "198.51.100.1"


def test_the_host_is_what_the_nearest_proxy_reports() -> None:
    headers = [(b"x-forwarded-host", b"evil.example, api.example.org"), (b"x-forwarded-for", b"198.51.100.1")]
    assert PROXIES.forwarded("127.0.0.1", headers) == Forwarded("198.51.100.1", b"api.example.org")


@given(st.text(max_size=40), st.lists(st.binary(max_size=100), max_size=3))
def test_no_header_makes_it_fail(peer: str, values: list[bytes]) -> None:
    for address in (peer, "10.1.2.3"):
        PROXIES.forwarded(
            address, [(name, value) for value in values for name in (b"x-forwarded-for", b"x-forwarded-host")]
        )
