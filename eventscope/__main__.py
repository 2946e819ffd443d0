"""Where `eventscope` and `python -m eventscope` start."""

import eventscope.cli.interruptible  # noqa: F401  # isort: skip  # before all that takes long to import

from eventscope.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
