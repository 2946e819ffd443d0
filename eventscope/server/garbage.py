"""Python's garbage collector, tuned for a long-lived process that creates many objects at a time."""

import gc
from typing import Final

YOUNG: Final = 20_000  # new objects before a collection: as many as a page of 1000 events has


def settle() -> None:
    """Exclude all objects that exist now, which are permanent, and collect new ones rarely."""
    gc.freeze()
    gc.set_threshold(YOUNG)
