"""Python's garbage collector, set for a process that lives long and makes many objects at a time."""

import gc
from typing import Final

YOUNG: Final = 20_000  # new objects before it looks at them: a page of 1000 events has as many


def settle() -> None:
    """Have it never look again at what exists now, which lives for ever, and seldom at what is being made."""
    gc.freeze()
    gc.set_threshold(YOUNG)
