"""Health: whether the process is alive, and whether it is ready for requests."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from eventscope.errors import Blocked, CannotStart, QuestionTimedOut, log_client_error, to_client
from eventscope.http.refusals import AGAIN
from eventscope.schema.context import Services
from eventscope.store.state import checkpoint, stopped


def routes(services: Services, look_seconds: float) -> list[Route]:
    """`/healthz` answers as long as the process runs; `/readyz` answers 503 and why while something is down.

    That MongoDB does not answer within `look_seconds` is such a reason.
    """

    async def readyz(request: Request) -> Response:
        problems = await _problems(services, look_seconds)
        if problems:
            return JSONResponse({"status": "not ready", "reasons": problems}, 503, AGAIN)
        return JSONResponse({"status": "ready"})

    return [alive(), Route("/readyz", readyz)]


def alive() -> Route:
    """`/healthz`, which answers as long as the process runs."""

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return Route("/healthz", healthz)


async def _problems(services: Services, look_seconds: float) -> list[str]:
    problems: list[str] = []
    try:
        async with asyncio.timeout(look_seconds):
            state = await checkpoint.read(services.log)
        if not state.lease_held:
            last = await stopped.last(services.log)
            if last is None:
                problems.append("no ingester is at work: new events wait in NATS")
            else:
                problems.append(f"the ingester {last.holder} cannot continue: {last.reason}; new events wait in NATS")
    except QuestionTimedOut as error:
        problems.append(f"MongoDB did not answer within {error.seconds:g} seconds")
    except TimeoutError:
        problems.append(f"MongoDB did not answer within {look_seconds:g} seconds")
    except (Blocked, CannotStart) as error:
        log_client_error("UNAVAILABLE", str(error))
        problems.append(f"the log cannot be read: {error}")
    except Exception as error:
        problems.append(f"the log cannot be read: {to_client(error)['message']}")
    if not services.nats_connected():
        problems.append("NATS does not answer")
    elif (refusal := services.nats_refusal()) is not None:
        problems.append(refusal)
    return problems
