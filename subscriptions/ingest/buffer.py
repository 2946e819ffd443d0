"""The stream as a buffer of the log: there, as it must be, and trimmed of what is stored, while one ingests."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import nats.errors
from nats.js import JetStreamContext
from nats.js.api import StreamInfo
from nats.js.errors import NotFoundError

from eventscope.errors import Blocked, Unavailable
from eventscope.store.values import moment
from eventscope.store.values.message import Arrival, RejectedMessage, StreamPosition
from eventscope.subscriptions.ingest.trim import trim
from eventscope.subscriptions.messages.parse import generated_id
from eventscope.subscriptions.nats import capture, stream
from eventscope.subscriptions.nats.holders import IDLE_HOURS, Holder
from eventscope.subscriptions.nats.subjects import covers, merge_patterns
from eventscope.subscriptions.observer import IngestObserver

AGAIN_SECONDS: Final = 3600.0  # after which a warning that still holds is given once more

ECHO_SECONDS: Final = 1.0  # within which a heartbeat comes back by whatever way it takes
ECHO_LOOKS: Final = 10

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Buffer:
    """The stream of that name, which takes at least these subjects."""

    js: JetStreamContext
    name: str
    subjects: Sequence[str]
    max_bytes: int
    keep_hours: float
    observer: IngestObserver
    taken: Sequence[str] = ()
    """All subjects that it takes."""
    last: int = 0
    """Its last sequence when it was made ready."""
    reached: int = 0
    """Its last sequence at the last look."""
    missed: Callable[[str], Awaitable[None]] | None = None
    """Hears what was published while the stream did not take it, in a sentence, before that is mended."""
    _whole: int = 0  # when it took all subjects for the last time, as far as it was looked at
    _echo: str = capture.RESERVED[0]  # of which subjects it may take what it must not; none once it is seen not to
    _lacked: bool = False  # whether it did not take all subjects at the last look
    _shares_limit: bool = False
    _now: int = 0  # by which it is told how long consumers are idle
    _warned: dict[str, tuple[str, float]] = field(default_factory=dict)

    async def ready(self, beat: Callable[[], Awaitable[None]]) -> None:
        """See to it that the stream is there and as it must be, before it is read. `beat` sends a heartbeat.

        Raises Unavailable when NATS cannot be asked, Blocked or CannotStart when somebody has to mend something.
        """
        await self._checked()
        if self._echo:
            await self._silent(beat)
        self.last = (await self._info()).state.last_seq
        self._shares_limit = await stream.shares_limit(self.js)

    async def keep(self, done: StreamPosition, now: int) -> None:
        """Look at it again while it is read, and take from it what is stored up to that place.

        Raises Blocked or CannotStart when somebody has to mend something.
        """
        self._now = now
        try:
            await self._checked()
            # the stream's times are those of NATS, and so is this one
            await trim(self.js, done, self.keep_hours, done.recorded_at, self._held, shares_limit=self._shares_limit)
        except (nats.errors.Error, Unavailable) as error:
            # a stream that must not be trimmed fills up in the end, and that is no reason to stop reading it now
            self._warn("trim", f"the stream {self.name} could not be trimmed: {error}", str(error))

    def takes(self, subject: str) -> bool:
        """Whether what is sent to that subject comes back."""
        return any(covers(pattern, subject) for pattern in self.taken)

    def stray(self, arrival: Arrival) -> RejectedMessage:
        """The rejection of a message on a subject where no events come, which was taken in at an earlier time.

        Blocked when it is taken in just now: what causes it must end first.
        """
        said = f"{arrival.subject[:200]} is a subject on which Eventscope or NATS itself sends"
        if arrival.sequence > self.last:
            self._echo = capture.pattern(arrival.subject)
            raise Blocked(f"the stream {self.name} takes in what it must not: {said}")
        id = generated_id(self.name, arrival.sequence, arrival.recorded_at)
        return RejectedMessage(arrival, "RESERVED_SUBJECT", said, id)

    async def _silent(self, beat: Callable[[], Awaitable[None]]) -> None:
        # Before anything is read: what came while it was not read would be a rejection each time, and so would the
        # heartbeat of each time it tries.
        if (before := await self._taken_of(self._echo)) > 0:
            await beat()
            for _ in range(ECHO_LOOKS):
                await asyncio.sleep(ECHO_SECONDS / ECHO_LOOKS)
                if await self._taken_of(self._echo) > before:
                    raise Blocked(
                        f"the stream {self.name} takes in what it must not, by a way that cannot be seen from here:"
                        f" {self._echo} are subjects on which Eventscope or NATS itself sends"
                    )
        self._echo = ""

    async def _taken_of(self, pattern: str) -> int:
        """How many messages it has on such subjects."""
        info = await self._asked(self.js.stream_info(self.name, subjects_filter=pattern))
        return sum((info.state.subjects or {}).values())

    async def _checked(self) -> StreamInfo:
        info = await self._info()
        if (trouble := await capture.fault(self.js, self.name, info.config)) is not None:
            raise Blocked(trouble)
        present = info.config.subjects or []
        lacks = merge_patterns(present, self.subjects) != list(present)
        # whoever edits the stream may not be done yet, so it is left alone until it is found so twice
        if lacks and self._lacked:
            patterns = ", ".join(present), ", ".join(self.subjects)
            logger.warning("the stream %s takes %s, and is set to take %s again", self.name, *patterns)
            await self._note(sorted({*merge_patterns(present, self.subjects)} - {*present}))
            info = await self._ensured()
        self._lacked = lacks
        self._whole = self._whole if lacks else self._now
        if said := capture.doubts(info.config):
            text = f"the stream {self.name} forgets messages that may not be stored yet (%s): see eventscope doctor"
            self._warn("doubts", text % said, said)
        self.taken = info.config.subjects or []
        self.reached = info.state.last_seq
        return info

    async def _note(self, lacking: Sequence[str]) -> None:
        if self._whole and self.missed is not None:  # else they may never have been taken
            since, to = moment.to_text(self._whole), moment.to_text(self._now)
            await self.missed(
                f"the stream {self.name} did not take {', '.join(lacking)} between {since} and {to}: what was published"
                " there meanwhile and not acknowledged is lost"
            )

    async def _info(self) -> StreamInfo:
        try:
            return await self._asked(self.js.stream_info(self.name))
        except NotFoundError:
            logger.error("the stream %s is gone, and is made anew", self.name)
            return await self._ensured()

    async def _asked(self, answer: Awaitable[StreamInfo]) -> StreamInfo:
        try:
            return await answer
        except NotFoundError:
            raise
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise stream.unavailable(error, self.js._nc) from error

    async def _ensured(self) -> StreamInfo:
        return await stream.ensure(self.js, self.name, self.subjects, self.max_bytes)

    def _held(self, holders: Sequence[Holder], before: int, info: StreamInfo, *, full: bool) -> None:
        first, now = info.state.first_seq, self._now
        self.observer.held({holder.name: holder.held(before, first) for holder in holders})
        if not holders or not (full or any(holder.idle_hours(now) > IDLE_HOURS for holder in holders)):
            return
        said = ", ".join(holder.shown(now, before, first) for holder in holders)
        text = (
            f"the stream {self.name} is not trimmed of all that is stored, {info.state.bytes} bytes, for it is kept for"
            f" durable consumers: {said}; if one is forgotten: nats consumer rm {self.name} NAME"
        )
        self._warn("held", text, f"{full} {sorted(holder.name for holder in holders)}")

    def _warn(self, kind: str, text: str, state: str) -> None:
        """Say it once, and again when it is another thing or still so after a while."""
        now = asyncio.get_running_loop().time()
        known, at = self._warned.get(kind, ("", 0.0))
        if state != known or now - at >= AGAIN_SECONDS:
            logger.warning("%s", text)
            self._warned[kind] = (state, now)
