"""An API in a process of its own that measures, on its event loop, the longest time that others had to wait.

This is measured in CPU time of the loop's thread, so that it is the same on a busy machine: `/longest` returns the
longest time since the last request, in seconds, with the maximum memory that the process has held.
"""

import asyncio
import resource
import time

import uvicorn
import uvloop
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from eventscope.app import build, services
from eventscope.http.uvicorn.listen import listen
from eventscope.server import garbage
from eventscope.server.api import config
from eventscope.settings import Settings, load

TICK = 0.005


class Watchdog:
    """Looks at the clock as often as the loop lets it; an application that reports what it saw."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._last = time.thread_time()
        self.longest = 0.0

    def tick(self) -> None:
        """Look, and look again soon."""
        now = time.thread_time()
        self.longest, self._last = max(self.longest, now - self._last), now
        asyncio.get_running_loop().call_later(TICK, self.tick)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope.get("path") != "/longest":
            await self._app(scope, receive, send)
            return
        told = {"seconds": self.longest, "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
        self.longest = 0.0
        await JSONResponse(told)(scope, receive, send)


async def main(settings: Settings) -> None:
    """Serve until killed."""
    async with services(settings) as given:
        watchdog = Watchdog(build(settings, given))
        with listen(settings.host, settings.port) as listener:
            garbage.settle()
            watchdog.tick()
            await uvicorn.Server(config(watchdog)).serve(sockets=[listener])


if __name__ == "__main__":
    uvloop.run(main(load()))
