"""GraphQL queries over HTTP, repeated while the API is unavailable."""

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx
import orjson

from eventscope.errors import BadInput, EventscopeError, NotAnswered, Unavailable, WrongLog
from eventscope.proxies import proxy_to, through, unusable
from eventscope.redact import redacted

RETRY_SECONDS: Final = (0.1, 0.3, 1.0, 2.0)
SECONDS: Final = 60.0  # longer than the API's own time limit
AWAY: Final = frozenset({502, 503, 504})

logger = logging.getLogger(__name__)


class ApiClient:
    """Sends queries to one API; `retry_seconds` are the pauses before each retry while it is unavailable."""

    def __init__(self, api_url: str, retry_seconds: Sequence[float] = RETRY_SECONDS) -> None:
        self._retry_seconds = retry_seconds
        self._proxy = proxy_to(api_url)
        # with trust_env off, certificates and proxy are set here: error messages can then name the proxy
        context, url = httpx.create_ssl_context(), httpx.URL(api_url)
        # kept out of the address, which httpx logs
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

    async def query(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The `data` of the response.

        Raises Unavailable if the API stays unavailable for some seconds, BadInput if it rejects the query, WrongLog
        for a cursor of another log, and NotAnswered for its other errors.
        """
        body = orjson.dumps({"query": query, "variables": variables})
        for pause in self._retry_seconds:
            try:
                return await self._send(body)
            except Unavailable as error:
                pause *= random.uniform(0.5, 1)
                logger.info("retrying in %.1f s: %s", pause, error)
                await asyncio.sleep(pause)
        return await self._send(body)

    async def _send(self, body: bytes) -> dict[str, Any]:
        headers = {"content-type": "application/json", "accept": "application/json"}
        try:
            response = await self._http.post("graphql", content=body, headers=headers)
        except httpx.TransportError as error:
            raise Unavailable(
                f"the API at {redacted(str(self._http.base_url))} does not answer{through(self._proxy)}"
                f" ({str(error) or type(error).__name__})"
            ) from error
        answer = parse_answer(response.content)
        # a 404 with errors comes from an Eventscope API too, but from another path than /graphql
        if (errors := answer.get("errors")) and response.status_code != 404:
            raise api_error(errors[0])
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


def api_error(error: Mapping[str, Any]) -> EventscopeError:
    """The exception for an error of the API."""
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


def parse_answer(body: bytes | bytearray) -> dict[str, Any]:
    """The JSON object in the body; empty if there is none, as from a server that is not Eventscope."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}
