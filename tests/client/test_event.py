"""What a service may pass as an event, and which error it gets for values that cannot be one."""

from datetime import date
from typing import Any

import pytest

from eventscope.client.event import NewEvent
from eventscope.errors import BadInput


class Text(str):
    """A string of another class than `str`."""


def test_a_day_as_a_timestamp_is_its_start() -> None:
    assert NewEvent("a.b", timestamp=date(2026, 1, 1)).message()["timestamp"] == "2026-01-01"


@pytest.mark.parametrize("time", ["2026-01-01", 5, 1.5, [], object()])
def test_an_invalid_timestamp_is_refused_by_name(time: Any) -> None:
    with pytest.raises(BadInput, match=f"is a {type(time).__name__}; give a datetime or a date"):
        NewEvent("a.b", timestamp=time).message()


def test_a_key_of_a_subclass_of_str_is_refused_as_such() -> None:
    with pytest.raises(BadInput, match="data is not JSON: the key 'k' at a is of Text, a subclass of str"):
        NewEvent("a.b", {"a": {Text("k"): 1}}).message()
