"""Parts of what was read: how much is stored in one transaction. No I/O."""

from collections.abc import Iterator, Sequence

from eventscope.store.message import Message, Together


def parts(messages: Sequence[Message], most: int) -> Iterator[Sequence[Message]]:
    """The messages in pieces of at most so many events, where one of more than that makes a piece of its own."""
    piece: list[Message] = []
    size = 0
    for message in messages:
        events = len(message.messages) if isinstance(message, Together) else 1
        if piece and size + events > most:
            yield piece
            piece, size = [], 0
        piece.append(message)
        size += events
    if piece:
        yield piece
