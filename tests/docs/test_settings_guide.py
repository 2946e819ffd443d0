"""`docs/settings.md` lists every setting, with its default and its meaning, and no other."""

import json
import re
from pathlib import Path
from typing import Any

from eventscope.settings import Settings, variable

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_docs_have_one_row_per_setting_with_its_default_and_its_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (?:`(.*?)`)? ?\| (.+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    defaults = {variable(name): written(field.default) for name, field in Settings.model_fields.items()}
    assert sorted((name, default) for name, default, _ in rows) == sorted(defaults.items())
    assert all(len(meaning) > 20 for _, _, meaning in rows)


def written(default: Any) -> str:
    """The default as it would be written in the environment."""
    match default:
        case bool():
            return str(default).lower()
        case float():
            return f"{default:g}"
        case tuple():
            return ",".join(default)
        case dict():
            return json.dumps(
                {key: int(value) if isinstance(value, float) else value for key, value in default.items()}
            )
        case _:
            return str(default)


def test_the_docs_name_no_unknown_setting() -> None:
    known = {variable(name) for name in Settings.model_fields}
    assert set(re.findall(r"EVENTSCOPE_[A-Z_]*[A-Z]", DOCUMENT.read_text())) == known
