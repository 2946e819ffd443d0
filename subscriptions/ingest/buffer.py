"""The stream as a buffer of the log: created, checked, and trimmed of what is stored, for the ingester."""

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

AGAIN_SECONDS: Final = 3600.0  # after which a warning is repeated if its cause remains

ECHO_SECONDS: Final = 1.0  # within which a heartbeat comes back, however the stream gets it
ECHO_LOOKS: Final = 10

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Buffer:
    """The stream of that name, which accepts at least these subjects."""

    js: JetStreamContext
    name: str
    subjects: Sequence[str]
    max_bytes: int
    keep_hours: float
    observer: IngestObserver
    accepted_subjects: Sequence[str] = ()
    """All subjects that it accepts."""
    start_sequence: int = 0
    """Its last sequence when `prepare` ended."""
    last_sequence: int = 0
    """Its last sequence at the last check."""
    on_capture_gap: Callable[[str], Awaitable[None]] | None = None
    """Receives a sentence about what the stream did not accept for a while, before that is corrected."""
    _complete_at: int = 0  # the last check that found all subjects
    _echo: str = capture.RESERVED[0]  # reserved subjects to test for; empty once it is known not to accept them
    _is_incomplete: bool = False  # whether the last check found subjects missing
    _shares_limit: bool = False
    _now: int = 0  # of the last `maintain`, to say how long consumers are idle
    _warnings: dict[str, tuple[str, float]] = field(default_factory=dict)

    async def prepare(self, beat: Callable[[], Awaitable[None]]) -> None:
        """Create or correct the stream before it is read. `beat` sends a heartbeat.

        Raises Unavailable when NATS does not answer, Blocked or CannotStart when somebody has to fix something.
        """
        await self._check()
        if self._echo:
            await self._check_echo(beat)
        self.start_sequence = (await self._info()).state.last_seq
        self._shares_limit = await stream.shares_limit(self.js)

    async def maintain(self, done: StreamPosition, now: int) -> None:
        """Check the stream again while it is read, and trim what is stored up to `done`. `now` is in microseconds.

        Raises Blocked or CannotStart when somebody has to fix something.
        """
        self._now = now
        try:
            await self._check()
            # the stream's times are those of NATS, and so is this one
            await trim(
                self.js, done, self.keep_hours, done.recorded_at, self._report_holders, shares_limit=self._shares_limit
            )
        except (nats.errors.Error, Unavailable) as error:
            # a stream that cannot be trimmed eventually fills up, which is no reason to stop reading it now
            self._warn("trim", f"the stream {self.name} could not be trimmed: {error}", str(error))

    def takes(self, subject: str) -> bool:
        """Whether the stream accepts what is sent on that subject."""
        return any(covers(pattern, subject) for pattern in self.accepted_subjects)

    def reject_reserved(self, arrival: Arrival) -> RejectedMessage:
        """The rejection of a message on a reserved subject, which the stream accepted before it was last prepared.

        Blocked when the message came later: its cause must end first.
        """
        reason = f"{arrival.subject[:200]} is a subject on which Eventscope or NATS itself sends"
        if arrival.sequence > self.start_sequence:
            self._echo = capture.pattern(arrival.subject)
            raise Blocked(f"the stream {self.name} accepts what it must not: {reason}")
        id = generated_id(self.name, arrival.sequence, arrival.recorded_at)
        return RejectedMessage(arrival, "RESERVED_SUBJECT", reason, id)

    async def _check_echo(self, beat: Callable[[], Awaitable[None]]) -> None:
        # This comes before anything is read: otherwise each attempt would store rejections of what came meanwhile, and
        # of its own heartbeat.
        if (before := await self._count(self._echo)) > 0:
            await beat()
            for _ in range(ECHO_LOOKS):
                await asyncio.sleep(ECHO_SECONDS / ECHO_LOOKS)
                if await self._count(self._echo) > before:
                    raise Blocked(
                        f"the stream {self.name} accepts what it must not, in a way that cannot be seen from here:"
                        f" {self._echo} are subjects on which Eventscope or NATS itself sends"
                    )
        self._echo = ""

    async def _count(self, pattern: str) -> int:
        """How many messages the stream has on subjects of that pattern."""
        info = await self._query(self.js.stream_info(self.name, subjects_filter=pattern))
        return sum((info.state.subjects or {}).values())

    async def _check(self) -> StreamInfo:
        info = await self._info()
        if (trouble := await capture.fault(self.js, self.name, info.config)) is not None:
            raise Blocked(trouble)
        present = info.config.subjects or []
        lacks = merge_patterns(present, self.subjects) != list(present)
        # somebody may still be editing the stream, so it is corrected only when two checks in a row find subjects
        # missing
        if lacks and self._is_incomplete:
            patterns = ", ".join(present), ", ".join(self.subjects)
            logger.warning("the stream %s accepts %s, and is set to accept %s again", self.name, *patterns)
            await self._report_gap(sorted({*merge_patterns(present, self.subjects)} - {*present}))
            info = await self._ensure()
        self._is_incomplete = lacks
        self._complete_at = self._complete_at if lacks else self._now
        if settings := capture.doubts(info.config):
            text = f"the stream {self.name} may drop messages before they are stored (%s): see eventscope doctor"
            self._warn("doubts", text % settings, settings)
        self.accepted_subjects = info.config.subjects or []
        self.last_sequence = info.state.last_seq
        return info

    async def _report_gap(self, lacking: Sequence[str]) -> None:
        if self._complete_at and self.on_capture_gap is not None:  # otherwise they may never have been accepted
            since, to = moment.to_text(self._complete_at), moment.to_text(self._now)
            await self.on_capture_gap(
                f"the stream {self.name} did not accept {', '.join(lacking)} between {since} and {to}: what was"
                " published there meanwhile and not acknowledged is lost"
            )

    async def _info(self) -> StreamInfo:
        try:
            return await self._query(self.js.stream_info(self.name))
        except NotFoundError:
            logger.error("the stream %s is gone, and is created again", self.name)
            return await self._ensure()

    async def _query(self, answer: Awaitable[StreamInfo]) -> StreamInfo:
        try:
            return await answer
        except NotFoundError:
            raise
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise stream.unavailable(error, self.js._nc) from error

    async def _ensure(self) -> StreamInfo:
        return await stream.ensure(self.js, self.name, self.subjects, self.max_bytes)

    def _report_holders(self, holders: Sequence[Holder], before: int, info: StreamInfo, *, full: bool) -> None:
        first, now = info.state.first_seq, self._now
        self.observer.on_hold({holder.name: holder.count(before, first) for holder in holders})
        if not holders or not (full or any(holder.idle_hours(now) > IDLE_HOURS for holder in holders)):
            return
        names = ", ".join(holder.describe(now, before, first) for holder in holders)
        text = (
            f"the stream {self.name}, {info.state.bytes} bytes, still has messages that are stored, since durable"
            f" consumers need them: {names}; remove one that nobody uses with: nats consumer rm {self.name} NAME"
        )
        self._warn("holders", text, f"{full} {sorted(holder.name for holder in holders)}")

    def _warn(self, kind: str, text: str, state: str) -> None:
        """Log it once, and again when its `state` has changed or AGAIN_SECONDS have passed."""
        now = asyncio.get_running_loop().time()
        last, at = self._warnings.get(kind, ("", 0.0))
        if state != last or now - at >= AGAIN_SECONDS:
            logger.warning("%s", text)
            self._warnings[kind] = (state, now)
