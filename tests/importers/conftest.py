"""What the tests of git histories share: an empty repository."""

from pathlib import Path

import pytest

from tests.importers.support.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path / "work")
