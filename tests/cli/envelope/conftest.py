"""What the tests of `eventscope envelope try` share: its output for programs."""

from typing import Any

import orjson
import pytest

from eventscope.cli.envelope.trial import show
from tests.cli.support.trials import PLACED, SHOP


@pytest.fixture
def tried(capsys: pytest.CaptureFixture[str]) -> Any:
    """The output for programs, one entry per sample; a sample is rejected exactly if the exit code says so."""

    def of(mapping: Any, content: Any, subject: str | None = PLACED) -> list[Any]:
        text = mapping if isinstance(mapping, str) else orjson.dumps(mapping).decode()
        raw = content if isinstance(content, bytes) else orjson.dumps(content)
        code = show(SHOP, text, raw, subject, as_json=True)
        shown = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert code == any("rejected" in one for one in shown)
        assert [one.pop("sample") for one in shown] == list(range(1, len(shown) + 1))
        return shown

    return of
