"""The error that reports why a message cannot be stored, raised before the message becomes a rejection. No I/O."""


class InvalidMessage(Exception):
    """`code` is for programs, `reason` for people; `index` is that of the event at fault in a group.

    `member` is the member of the message at fault, if it is one.
    """

    def __init__(self, code: str, reason: str, member: str | None = None) -> None:
        self.code = code
        self.reason = reason
        self.member = member
        self.index: int | None = None
