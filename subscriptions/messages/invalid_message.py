"""Why a message cannot be taken, on its way from where it is found out to where it is told. No I/O."""


class InvalidMessage(Exception):
    """`code` is for programs, `reason` for people; `index` tells which of several that came together is to blame.

    `member` is the member of the message that is wrong, where it is one.
    """

    def __init__(self, code: str, reason: str, member: str | None = None) -> None:
        self.code = code
        self.reason = reason
        self.member = member
        self.index: int | None = None
