"""A fixture that some tests of the drivers share."""

import gc
import warnings
from collections.abc import Iterator

import pytest


@pytest.fixture
def swept() -> Iterator[None]:
    """Collects garbage after a test: pymongo's async client forgets its socket if it is closed while connecting."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
