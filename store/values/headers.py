"""Headers of a message; each may occur several times. No I/O."""

from collections.abc import Mapping
from typing import TypeAlias, cast

from bson import DBRef

from eventscope.store.values.documents import plain

Values: TypeAlias = dict[str, str | list[str]]  # a list if there are several


class MessageHeaders(dict[str, str]):
    """Headers by name, with the last value of each; `every` has all values."""

    __slots__ = ("_several",)

    def __init__(self) -> None:
        super().__init__()
        self._several: dict[str, list[str]] = {}

    def add(self, name: str, value: str) -> None:
        """Add a value after those that the name already has."""
        if name in self:
            self._several.setdefault(name, [self[name]]).append(value)
        self[name] = value

    @property
    def every(self) -> Values:
        """All values of all headers; a list if one has several."""
        return {**self, **self._several}


def every(headers: Mapping[str, str]) -> Values:
    """All values of all headers; a list if one has several."""
    return headers.every if isinstance(headers, MessageHeaders) else dict(headers)


def from_document(document: object) -> Values:
    """The result of `every`, read back from a document of MongoDB."""
    # the driver decodes names like $ref, which anyone may send, as a DBRef
    return cast("Values", plain(document) if isinstance(document, DBRef) else document)
