"""From the bytes of a request straight to the bytes of its answer, for ordinary queries by POST.

The endpoint could answer these requests too, with exactly the same bytes; this saves the objects in between. A request
that is unusual in any way, from its headers to its query, goes on to the endpoint unanswered.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import orjson
from starlette.types import Message, Receive, Scope, Send
from strawberry.types import ExecutionResult

from eventscope.errors import to_client
from eventscope.http.answer import body_of, encode_answer
from eventscope.http.negotiation import JSON, negotiate, status
from eventscope.http.uvicorn import whole_response
from eventscope.schema.compiled.run import QueryPlan
from eventscope.schema.context import Context
from eventscope.schema.direct import Direct
from eventscope.schema.large import Large
from eventscope.store.values import json_text

MOST_HEADER: Final = 256  # bytes of a cached header
MOST_PLANS: Final = 256  # cached requests
MOST_CACHED_BODY: Final = 4096  # bytes of one of them
FIXED: Final = (
    (b"vary", b"Accept, Accept-Encoding"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


@dataclass(slots=True)
class ReceivedRequest:
    """The messages of a request that were received so far, which the endpoint can receive again."""

    receive: Receive
    messages: list[Message] = field(default_factory=list)
    next_index: int = 0

    async def body(self, most: int) -> bytes | None:
        """The whole body; None if it has more bytes, or if the client has disconnected."""
        size, whole = 0, True
        while True:
            message = await self.receive()
            self.messages.append(message)
            size += len(message.get("body", b""))
            if message["type"] != "http.request" or size > most:
                return None
            if not message.get("more_body", False):
                break
            whole = False
        return self.messages[0].get("body", b"") if whole else b"".join(one.get("body", b"") for one in self.messages)

    async def replay(self) -> Message:
        """Receive from the start."""
        if self.next_index < len(self.messages):
            self.next_index += 1
            return self.messages[self.next_index - 1]
        return await self.receive()


@dataclass(frozen=True, slots=True)
class FastPath:
    """Answers ordinary requests. `encode` writes JSON; `plans` caches plans by the bytes of the body, newest last."""

    direct: Direct
    context: Callable[[], Context]
    encode: Callable[[object], bytes]
    most_body: int
    most_plans: int = MOST_PLANS
    plans: OrderedDict[bytes, QueryPlan] = field(default_factory=OrderedDict)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> Receive | None:
        """Answer and return None; or return a `receive` for the endpoint, which must then answer."""
        media_type = _media_type(scope)
        if media_type is None:
            return receive
        request = ReceivedRequest(receive)
        body = await request.body(self.most_body)
        plan = None if body is None else self._plan(body)
        if plan is None:
            return request.replay
        context = self.context()
        try:
            is_whole = whole_response.is_supported(scope)
            await self._send(send, media_type, await self.direct.run(plan, context), is_whole=is_whole)
        finally:
            context.leave()
        return None

    def _plan(self, body: bytes) -> QueryPlan | None:
        """How to answer a request with that body; None if it is not ordinary."""
        cached = self.plans.get(body)
        if cached is not None and cached.generation == self.direct.generation:
            self.plans.move_to_end(body)
            return cached
        request = _parse(body)
        if request is None:
            return None
        plan = self.direct.plan(request["query"], request.get("variables"), request.get("operationName"))
        if plan is not None and len(body) <= MOST_CACHED_BODY:
            if self.plans and next(iter(self.plans.values())).generation != plan.generation:
                # the documents of all older plans were dropped: the plans must not keep alive their compiled functions,
                # which count only towards the limit on documents
                self.plans.clear()
            self.plans[body] = plan
            if len(self.plans) > self.most_plans:
                self.plans.popitem(last=False)
        return plan

    async def _send(self, send: Send, media_type: str, result: ExecutionResult, *, is_whole: bool) -> None:
        code = 200
        try:
            if result.errors:
                answer, is_request_error = body_of(result)
                code = status(media_type, is_request_error=is_request_error)
            else:
                answer = {"data": result.data}
            body = self.encode(await encode_answer(answer) if isinstance(result.data, Large) else answer)
        except Exception as error:
            code, body = 500, orjson.dumps({"errors": [to_client(error)]})
        headers = [
            (b"content-length", b"%d" % len(body)),
            (b"content-type", f"{media_type}; charset=utf-8".encode()),
            *FIXED,
        ]
        start: Message = {"type": "http.response.start", "status": code, "headers": headers}
        if is_whole:
            await send({**start, "body": body})
        else:
            await send(start)
            await send({"type": "http.response.body", "body": body})


def _media_type(scope: Scope) -> str | None:
    """The media type of the answer; None if the headers are not those of an ordinary request with a JSON body."""
    if scope["method"] != "POST" or scope["query_string"]:
        return None
    accept = content = None
    for name, value in scope["headers"]:
        if name == b"accept":
            if accept is not None:
                return None
            accept = value
        elif name == b"content-type":
            if content is not None:
                return None
            content = value
        elif name == b"content-encoding":
            return None
    if content is None or len(content) > MOST_HEADER or len(accept or b"") > MOST_HEADER:
        return None
    return _negotiate(accept, content)


@lru_cache(1024)
def _negotiate(accept: bytes | None, content: bytes) -> str | None:
    if content.partition(b";")[0].strip().lower() != JSON.encode():
        return None
    return negotiate(None if accept is None else accept.decode("latin-1"))


def _parse(body: bytes) -> dict[str, Any] | None:
    """The request in the body; None if it is not valid."""
    try:
        request = json_text.loads(body)
    except json_text.Fault:
        return None
    if not isinstance(request, dict) or not isinstance(request.get("query"), str) or not request["query"]:
        return None
    if not isinstance(request.get("operationName"), str | None):
        return None
    if not all(isinstance(request.get(member), dict | None) for member in ("variables", "extensions")):
        return None
    return request
