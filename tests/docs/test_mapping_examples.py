"""The mappings of docs/publishing.md turn its messages into what the page says."""

import re
from pathlib import Path

import orjson
import pytest

from eventscope import envelopes
from eventscope.cli.envelope.samples import samples
from eventscope.cli.envelope.trial import outcome
from eventscope.settings import Settings
from eventscope.subscriptions.messages.envelope import compile_envelopes

PAGE = (Path(__file__).parents[2] / "docs/publishing.md").read_text()
SETTING, *REST = re.findall(r"```json\n(.*?)```", PAGE.partition("## Messages of any shape")[2], re.DOTALL)
EXAMPLES = [REST[n : n + 3] for n in range(0, len(REST), 3)]


def test_the_setting_is_valid() -> None:
    assert len(envelopes.read_setting(SETTING)) == 4


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_message_becomes_the_event_that_is_shown(example: list[str]) -> None:
    mapping, message, event = example
    [sample] = samples(message.encode(), "events.vendor.onboarded")
    by_pattern = compile_envelopes({">": envelopes.mapping(orjson.loads(mapping))})
    assert outcome(Settings(), by_pattern, sample) == {"event": orjson.loads(event)}


def test_the_guide_has_three_examples() -> None:
    assert [len(example) for example in EXAMPLES] == [3, 3, 3]
