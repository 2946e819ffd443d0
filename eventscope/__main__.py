"""Entry point of `eventscope` and `python -m eventscope`."""

import eventscope.cli.interruptible  # noqa: F401  # isort: skip  # before everything that takes long to import

from eventscope.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
