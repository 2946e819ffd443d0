"""Asking the API over HTTP, for services: again and again while the API is away."""

import asyncio
import logging
import random
from collections.abc import Mapping
from typing import Any, Final

import httpx
import orjson

from eventscope.errors import BadInput, EventscopeError, NotAnswered, Unavailable, WrongLog
from eventscope.proxies import proxy_to, through, unusable
from eventscope.redact import redacted

PAUSES: Final = (0.1, 0.3, 1.0, 2.0)  # before each further try
SECONDS: Final = 60.0  # the API gives up long before
AWAY: Final = frozenset({502, 503, 504})

logger = logging.getLogger(__name__)


class Questions:
    """Questions to one API."""

    def __init__(self, api_url: str) -> None:
        # the length of an answer depends on the events, so there is no keeping to a time but the API's own
        self._proxy = proxy_to(api_url)
        # certificates are those that the environment names, and the proxy is one that we can name, too
        context, url = httpx.create_ssl_context(), httpx.URL(api_url)
        # not in the address, which httpx writes into the log as it is
        auth = (url.username, url.password) if url.userinfo else None
        try:
            self._http = httpx.AsyncClient(
                base_url=url.copy_with(username=None, password=None),
                auth=auth,
                timeout=SECONDS,
                proxy=self._proxy,
                verify=context,
                trust_env=False,
            )
        except (ImportError, ValueError):
            if self._proxy is None:
                raise
            raise unusable(api_url) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The data of the answer.

        Asks again while the API is away for a moment, then raises Unavailable. BadInput when the question is wrong,
        NotAnswered when the API cannot answer it for another reason.
        """
        body = orjson.dumps({"query": query, "variables": variables})
        for pause in PAUSES:
            try:
                return await self._ask(body)
            except Unavailable as trouble:
                pause *= random.uniform(0.5, 1)
                logger.info("asking again in %.1f s: %s", pause, trouble)
                await asyncio.sleep(pause)
        return await self._ask(body)

    async def _ask(self, body: bytes) -> dict[str, Any]:
        headers = {"content-type": "application/json", "accept": "application/json"}
        try:
            response = await self._http.post("graphql", content=body, headers=headers)
        except httpx.TransportError as error:
            raise Unavailable(
                f"the API at {redacted(str(self._http.base_url))} does not answer{through(self._proxy)}"
                f" ({str(error) or type(error).__name__})"
            ) from error
        answer = answer_in(response.content)
        # an API of ours whose /graphql is elsewhere answers with an error too
        if (errors := answer.get("errors")) and response.status_code != 404:
            raise error_of(errors[0])
        if "data" not in answer:
            if response.status_code in AWAY:
                raise Unavailable(
                    f"{redacted(str(response.url))} answers HTTP {response.status_code}{through(self._proxy)}"
                )
            raise NotAnswered(
                f"{redacted(str(response.url))} answers HTTP {response.status_code} and no GraphQL"
                f"{through(self._proxy)}; is api_url right?",
                "NOT_GRAPHQL",
            )
        data: dict[str, Any] = answer["data"]
        return data


def error_of(error: Mapping[str, Any]) -> EventscopeError:
    """An error of the API as an exception."""
    extensions = error.get("extensions") or {}
    message, code = error["message"], extensions.get("code", "")
    match code:
        case BadInput.code:
            return BadInput(message, extensions.get("field"))
        case WrongLog.code:
            return WrongLog(message, extensions.get("field"))
        case Unavailable.code:
            return Unavailable(message)
        case _:
            id = extensions.get("errorId")
            return NotAnswered(f"{message} ({code}{f', errorId {id}' if id else ''})", code)


def answer_in(body: bytes | bytearray) -> dict[str, Any]:
    """The answer that the body is; an empty one where it is none of the API's."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}
