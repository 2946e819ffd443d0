"""How many clients may connect: counted in total and by address, and forgotten when they leave."""

from contextlib import ExitStack

import pytest

from eventscope.http.admission import Admission


def test_connections_are_admitted_up_to_the_limit_and_again_when_one_has_left() -> None:
    admission = Admission(3, 2)
    with ExitStack() as stack:
        assert [stack.enter_context(admission.admit(address)) for address in "aab"] == [None, None, None]
        with admission.admit("c") as refusal:
            assert refusal == "3 connections are open; try again later"
    with admission.admit("c") as refusal:
        assert refusal is None


def test_one_address_cannot_take_all_connections() -> None:
    admission = Admission(3, 2)
    with admission.admit("a"), admission.admit("a"):
        with admission.admit("a") as refusal:
            assert refusal is not None
            assert refusal.startswith("2 connections are open from this address")
        with admission.admit("b") as refusal:
            assert refusal is None


def test_nothing_is_remembered_of_clients_that_have_left() -> None:
    admission = Admission(3, 2)
    with pytest.raises(ArithmeticError), admission.admit("a"):
        raise ArithmeticError
    assert (admission._all, admission._by_address) == (0, {})
