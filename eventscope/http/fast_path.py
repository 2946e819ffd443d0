"""From the bytes of a request to the bytes of its answer, for ordinary queries by POST.

What is done here the endpoint does too, and this must give the very same bytes; it saves the objects on the way. A
request that is not ordinary in anything, from its headers to what is asked, is handed on to the endpoint unanswered.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import orjson
from graphql import GraphQLError
from starlette.types import Message, Receive, Scope, Send
from strawberry.http import process_result
from strawberry.types import ExecutionResult

from eventscope.errors import QuestionTimedOut, to_client
from eventscope.http.answer import encoded
from eventscope.http.negotiation import JSON, negotiate, status
from eventscope.schema.compiled.run import QueryPlan
from eventscope.schema.context import Context
from eventscope.schema.direct import Direct
from eventscope.schema.large import Large
from eventscope.store.values import json_text

MOST_HEADER: Final = 256  # bytes of one that is remembered
MOST_KNOWN: Final = 256  # requests that are remembered
MOST_KNOWN_BODY: Final = 4096  # bytes of one
FIXED: Final = (
    (b"vary", b"Accept, Accept-Encoding"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


@dataclass(slots=True)
class ReceivedRequest:
    """What has been received of a request, to be received once more by who answers it."""

    receive: Receive
    messages: list[Message] = field(default_factory=list)
    given: int = 0

    async def body(self, most: int) -> bytes | None:
        """The whole body; None when it is longer, or the client went away."""
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

    async def again(self) -> Message:
        """Receive, from the start."""
        if self.given < len(self.messages):
            self.given += 1
            return self.messages[self.given - 1]
        return await self.receive()


@dataclass(frozen=True, slots=True)
class FastPath:
    """Answers what is ordinary. `encode` writes JSON."""

    direct: Direct
    context: Callable[[], Context]
    encode: Callable[[object], bytes]
    most_body: int
    plans: OrderedDict[bytes, QueryPlan] = field(default_factory=OrderedDict)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> Receive | None:
        """Answer and give None; or give what the endpoint is to receive, which must answer then."""
        media_type = _media_type(scope)
        if media_type is None:
            return receive
        heard = ReceivedRequest(receive)
        body = await heard.body(self.most_body)
        plan = None if body is None else self._plan(body)
        if plan is None:
            return heard.again
        context = self.context()
        try:
            await self._send(send, media_type, await self.direct.run(plan, context))
        finally:
            context.leave()
        return None

    def _plan(self, body: bytes) -> QueryPlan | None:
        """What there is to do for a request of that body; what was asked before is known by its bytes."""
        known = self.plans.get(body)
        if known is not None and known.generation == self.direct.generation:
            self.plans.move_to_end(body)
            return known
        asked = _asked(body)
        if asked is None:
            return None
        plan = self.direct.plan(asked["query"], asked.get("variables"), asked.get("operationName"))
        if plan is not None and len(body) <= MOST_KNOWN_BODY:
            if self.plans and next(iter(self.plans.values())).generation != plan.generation:
                self.plans.clear()  # or functions would outlive the documents that they are counted with
            self.plans[body] = plan
            if len(self.plans) > MOST_KNOWN:
                self.plans.popitem(last=False)
        return plan

    async def _send(self, send: Send, media_type: str, result: ExecutionResult) -> None:
        code = 200
        try:
            if result.errors:
                answer, is_request_error = body_of(result)
                code = status(media_type, is_request_error=is_request_error)
            else:
                answer = {"data": result.data}
            body = self.encode(await encoded(answer) if isinstance(result.data, Large) else answer)
        except Exception as error:
            code, body = 500, orjson.dumps({"errors": [to_client(error)]})
        headers = [
            (b"content-length", b"%d" % len(body)),
            (b"content-type", f"{media_type}; charset=utf-8".encode()),
            *FIXED,
        ]
        await send({"type": "http.response.start", "status": code, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def body_of(result: ExecutionResult) -> tuple[dict[str, Any], bool]:
    """The answer's body, and whether it tells of a wrong request: one that was not executed has no `data`."""
    body: dict[str, Any] = dict(process_result(result))
    errors = result.errors or []
    is_request_error = result.data is None and bool(errors) and all(map(_is_before_execution, errors))
    if is_request_error:
        del body["data"]
    return body, is_request_error


def _is_before_execution(error: GraphQLError) -> bool:
    return error.path is None and not isinstance(error.original_error, QuestionTimedOut)


def _media_type(scope: Scope) -> str | None:
    """What to answer in, if the headers are those of an ordinary request with JSON in its body."""
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
    return _negotiated(accept, content)


@lru_cache(1024)
def _negotiated(accept: bytes | None, content: bytes) -> str | None:
    if content.partition(b";")[0].strip().lower() != JSON.encode():
        return None
    return negotiate(None if accept is None else accept.decode("latin-1"))


def _asked(body: bytes) -> dict[str, Any] | None:
    """The request, if it has the shape of one."""
    try:
        asked = json_text.loads(body)
    except json_text.Fault:
        return None
    if not isinstance(asked, dict) or not isinstance(asked.get("query"), str) or not asked["query"]:
        return None
    if not isinstance(asked.get("operationName"), str | None):
        return None
    if not all(isinstance(asked.get(member), dict | None) for member in ("variables", "extensions")):
        return None
    return asked
