"""Which names in `Host` the API answers to. No I/O."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventscope.http.edge.hosts import Hosts, name_of

NAMES = st.from_regex(r"[a-z0-9_-]{1,20}(\.[a-z0-9_-]{1,20}){0,3}", fullmatch=True).filter(
    lambda name: not name.endswith("localhost") and not name.replace(".", "").isdigit()
)
PORTS = st.sampled_from(["", ":"]) | st.integers(0, 65535).map(lambda port: f":{port}")
V4 = st.ip_addresses(v=4).map(str)
V6 = st.ip_addresses(v=6).map(lambda address: f"[{address}]")


def takes(hosts: Hosts, header: str) -> bool | None:
    return hosts.allows(header.encode("latin-1", "replace"))


@given(name=NAMES, port=PORTS, dot=st.sampled_from(["", "."]), upper=st.booleans())
def test_a_name_is_the_same_in_any_case_with_any_port_and_with_a_final_dot(
    name: str, port: str, dot: str, upper: bool
) -> None:
    header = (name.upper() if upper else name) + dot + port
    assert name_of(header) == name
    assert takes(Hosts([name]), header) is True
    assert takes(Hosts([]), header) is False
    assert takes(Hosts([f"other.{name}", f"*.{name}"]), header) is False
    assert takes(Hosts([f"*.{name}"]), f"a.{header}") is takes(Hosts(["*"]), header) is True


@given(address=V4 | V6, port=PORTS)
def test_an_address_is_accepted_since_no_name_can_be_made_to_look_like_one(address: str, port: str) -> None:
    assert takes(Hosts([]), address + port) is True


@given(name=NAMES, port=PORTS)
@pytest.mark.parametrize("form", ["{}.localhost", "localhost", "LOCALHOST."])
def test_the_names_of_this_machine_are_accepted(name: str, port: str, form: str) -> None:
    assert takes(Hosts([]), form.format(name) + port) is True


@pytest.mark.parametrize(
    "header",
    [
        *("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "notlocalhost"),
        *("127.1", "2130706433", "0x7f.0.0.1", "127.0.0.01", "evil.example.", "api.example.org.evil.example"),
        "xn--lcalhost-m4a",
    ],
)
def test_names_similar_to_accepted_ones_are_refused(header: str) -> None:
    assert takes(Hosts(["api.example.org"]), header) is False


@pytest.mark.parametrize(
    "header",
    [
        *("", " ", ":", ":80", ".", "..", "a..b", ".localhost", "localhost..", "user@localhost", "a:b@localhost:80"),
        *("localhost:http", "localhost:65536", "localhost:123456", "localhost:-1", "localhost:80:80", "localhost:8 0"),
        *("::1", "[::1", "::1]", "[::1]x", "[::g]", "[127.0.0.1]", "[localhost]", "[]", "[fe80::1%25eth0]"),
        *("localhost/", "localhost?", "http://localhost", "localhost,evil.example", "localhost evil.example"),
        *("localhost\0", "l\xf6calhost", "localhost%2e", "a" * 301),
    ],
)
def test_an_invalid_host_is_distinguished_from_one_that_is_refused(header: str) -> None:
    assert takes(Hosts([]), header) is None
    assert takes(Hosts(["*"]), header) is None


@given(st.binary(max_size=400))
def test_no_header_makes_it_fail(header: bytes) -> None:
    assert Hosts(["a.example"]).allows(header) in (True, False, None)
