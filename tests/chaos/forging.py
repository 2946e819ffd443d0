"""A forger, who publishes harmful messages on the subject of live batches."""

import random

import orjson
from nats.aio.msg import Msg

from eventscope.subscriptions.live import live_batch
from eventscope.subscriptions.live.seal import Seal
from eventscope.subscriptions.nats import stream
from tests.chaos.stage import RECOVERY_SECONDS, Stage
from tests.support.until import until


async def batches_forged(stage: Stage, chance: random.Random) -> str:
    """Publish forged live batches, and repeat genuine ones, as anybody with access to the subject can."""
    subject, genuine = live_batch.subject(stage.settings.stream), list[bytes]()

    async def receive(message: Msg) -> None:
        genuine.append(message.data)

    client = await stream.connect(stage.settings.nats_url, "forger", seconds=RECOVERY_SECONDS)
    try:
        await client.subscribe(subject, cb=receive)
        target = stage.load.ledger.acknowledged + chance.randint(20, 200)
        await until(lambda: stage.load.ledger.acknowledged >= target, RECOVERY_SECONDS)
        forger, count = Seal(chance.randbytes(32), 10**9), chance.randint(50, 500)
        for _ in range(count):
            head = await stage.head() or 0
            after = max(0, head + chance.randint(-5, 5))
            event = {"_id": after + 1, "messageId": "forged", "type": "user.created", "timestamp": 0, "recordedAt": 0}
            members = b'"previous":%d,"head":%d,"events":[%s]' % (after, after + 1, orjson.dumps(event))
            kinds = [
                b"{%s}" % members,
                forger.on(members),
                live_batch.heartbeat(chance.choice((0, 10**9)), forger),
                b"",
                *genuine,
            ]
            await client.publish(subject, chance.choice(kinds))
        await client.flush()
        return f"{count} of them"
    finally:
        await stream.close(client)
