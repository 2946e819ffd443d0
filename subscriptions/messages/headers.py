"""Names of the headers that messages come with and go out with. No I/O.

Those that decide what the store does with a message are in `store.values.message`.
"""

from typing import Final

MESSAGE_ID: Final = "Nats-Msg-Id"
OWN_ID: Final = "Eventscope-Message-Id"  # the same for us; JetStream does not deduplicate by it
IDS: Final = (OWN_ID, MESSAGE_ID)
EXPECTED_STREAM: Final = "Nats-Expected-Stream"
REPLY_TO: Final = "Eventscope-Reply-To"
REPLY_SEALED: Final = "Eventscope-Reply-Sealed"
