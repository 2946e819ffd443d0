"""One command of a transaction, whichever driver sends it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from eventscope.store.mongo.failure import WriteRefused, refuses


@dataclass(frozen=True, slots=True)
class Write:
    """One command of a transaction: a method of the collection, and its arguments. `verify` checks the result."""

    collection: AsyncCollection[dict[str, Any]]
    method: Literal["insert_many", "update_one", "delete_many", "bulk_write"]
    arguments: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    verify: Callable[[Any], None] = lambda result: None

    def send(self, collection: Any, session: Any) -> Any:
        """Call the method on a collection and a session of either driver."""
        return getattr(collection, self.method)(*self.arguments, **self.options, session=session)

    @contextmanager
    def naming_collection(self) -> Iterator[None]:
        """Raise WriteRefused with the collection in place of the driver's error, if MongoDB refuses the write."""
        try:
            yield
        except PyMongoError as error:
            if refuses(error):
                raise WriteRefused(self.collection.name, error) from error
            raise
