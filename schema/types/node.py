"""The interface of all objects with an id of their own, by which clients fetch and cache them."""

from typing import ClassVar

import strawberry


@strawberry.interface(description="An object with an id. No two objects share one, even across types.")
class Node:
    id: strawberry.ID = strawberry.field(description="Its id, for `node`.")

    source: ClassVar[type]
    """The class of the values that resolvers return for it."""

    @classmethod
    def is_type_of(cls, source: object, info: object) -> bool:
        """Whether the source is of this type, for interfaces and unions."""
        return type(source) is cls.source
