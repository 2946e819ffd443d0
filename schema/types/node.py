"""What has an id of its own, by which it can be asked for and by which clients keep it."""

from typing import ClassVar

import strawberry


@strawberry.interface(description="An object with an id. No two objects share one, even across types.")
class Node:
    id: strawberry.ID = strawberry.field(description="Its id, for `node`.")

    source: ClassVar[type]
    """The class of the values that resolvers give for it."""

    @classmethod
    def is_type_of(cls, source: object, info: object) -> bool:
        """Tell the members of an interface or a union apart."""
        return type(source) is cls.source
