"""Somebody who speaks where only the ingester should, and says whatever may do harm."""

import random

import orjson
from nats.aio.msg import Msg

from eventscope.subscriptions.live import live_batch
from eventscope.subscriptions.live.seal import Seal
from eventscope.subscriptions.nats import stream
from tests.chaos.stage import RECOVERY_SECONDS, Stage
from tests.support.until import until


async def batches_forged(stage: Stage, chance: random.Random) -> str:
    """By somebody who may publish where live batches come, and sends genuine ones again."""
    subject, heard = live_batch.subject(stage.settings.stream), list[bytes]()

    async def hear(message: Msg) -> None:
        heard.append(message.data)

    client = await stream.connect(stage.settings.nats_url, "forger", seconds=RECOVERY_SECONDS)
    try:
        await client.subscribe(subject, cb=hear)
        wanted = stage.load.ledger.acknowledged + chance.randint(20, 200)
        await until(lambda: stage.load.ledger.acknowledged >= wanted, RECOVERY_SECONDS)
        forger, count = Seal(chance.randbytes(32), 10**9), chance.randint(50, 500)
        for _ in range(count):
            head = await stage.head() or 0
            after = max(0, head + chance.randint(-5, 5))
            event = {"_id": after + 1, "messageId": "forged", "type": "user.created", "timestamp": 0, "recordedAt": 0}
            told = b'"previous":%d,"head":%d,"events":[%s]' % (after, after + 1, orjson.dumps(event))
            kinds = [
                b"{%s}" % told,
                forger.on(told),
                live_batch.heartbeat(chance.choice((0, 10**9)), forger),
                b"",
                *heard,
            ]
            await client.publish(subject, chance.choice(kinds))
        await client.flush()
        return f"{count} of them"
    finally:
        await stream.close(client)
