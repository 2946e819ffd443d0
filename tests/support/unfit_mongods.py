"""MongoDBs on which no log can be kept as they are."""

import asyncio
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from eventscope.dev.servers import Mongod


class Standalone(Mongod):
    """A MongoDB that is not a member of a replica set."""

    def command(self) -> list[str]:
        command = super().command()
        place = command.index("--replSet")
        return command[:place] + command[place + 2 :]

    async def answers(self) -> bool:
        return await asyncio.to_thread(self._pings)

    def _pings(self) -> bool:
        with MongoClient[dict[str, Any]](self.url, serverSelectionTimeoutMS=100) as client:
            try:
                return bool(client.admin.command("ping")["ok"])
            except PyMongoError:
                return False


class Guarded(Standalone):
    """A MongoDB that requires authentication."""

    def command(self) -> list[str]:
        return [*super().command(), "--auth"]
