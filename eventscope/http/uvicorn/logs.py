"""uvicorn's log records, without the query strings of addresses: clients may put secrets into these."""

import logging
from typing import Final

from eventscope.redact import HIDDEN

LOGGERS: Final = ("uvicorn.error", "uvicorn.access")  # the first one's lines also tell of each WebSocket


def hide_queries() -> None:
    """Have uvicorn log `?***` instead of a query string, in this process, for ever."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_hide_query)


def _hide_query(record: logging.LogRecord) -> bool:
    # uvicorn escapes the path, so the first question mark begins the query
    if isinstance(record.args, tuple):
        record.args = tuple(_without_query(value) if isinstance(value, str) else value for value in record.args)
    return True


def _without_query(text: str) -> str:
    path, mark, _ = text.partition("?")
    return f"{path}?{HIDDEN}" if mark else text
