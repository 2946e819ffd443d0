"""What would become of messages: each is opened, read and shown as the ingester would do it, without any server."""

import json
from typing import Any

import orjson

from eventscope import envelopes
from eventscope.cli.envelope import notes
from eventscope.cli.envelope.samples import Sample, samples
from eventscope.errors import BadInput
from eventscope.settings import Settings
from eventscope.store.values import moment
from eventscope.store.values.documents import plain
from eventscope.store.values.message import AcceptedMessage, Arrival, MessageGroup, RejectedMessage
from eventscope.subscriptions.ingest.kept_headers import KeptHeaders
from eventscope.subscriptions.messages.envelope import MessageEnvelope, compile_envelopes
from eventscope.subscriptions.messages.parse import generated_id, parse_message
from eventscope.subscriptions.nats.subjects import first_match, type_of
from eventscope.terminal import say, say_json


def show(settings: Settings, mapping: str, content: bytes, subject: str | None, *, as_json: bool) -> int:
    """Show what becomes of each sample; the exit code is 1 when one of them would be rejected.

    `mapping` is a mapping or a whole setting, as JSON or the path of a file. BadInput when it or a sample is wrong.
    """
    by_pattern = _envelopes(mapping)
    rejected = 0
    found = samples(content, subject)
    absent = notes.absent(by_pattern, map(_arrival, found))
    for number, sample in enumerate(found, 1):
        shown: dict[str, Any] = {"sample": number, "subject": sample.subject} | outcome(settings, by_pattern, sample)
        rejected += "rejected" in shown
        if as_json:
            mapper = notes.mapping(by_pattern, _arrival(sample))
            if of_mapping := absent.get(id(mapper)):
                shown["notes"] = shown.get("notes", []) + of_mapping
            say_json(orjson.dumps(shown, default=plain))
        else:
            _say(shown)
    if not as_json:
        for note in dict.fromkeys(note for several in absent.values() for note in several):
            say(f"note: {note}")
        say(f"{len(found) - rejected} of {len(found)} would be stored")
    return 1 if rejected else 0


def outcome(settings: Settings, by_pattern: dict[str, MessageEnvelope], sample: Sample) -> dict[str, Any]:
    """What becomes of one: `event`, or `events` of several that come together, or `rejected` with its code and reason.

    What is not known before NATS has the message, as an id that is made of its place there, is left out. `notes` says
    what probably is a mistake.
    """
    arrival = _arrival(sample)
    subject_type = type_of(sample.subject, settings.subjects)
    use = first_match(sample.subject, settings.message_version) or "claim"
    read_message = parse_message(arrival, settings.stream, subject_type, first_match(sample.subject, by_pattern), use)
    message = KeptHeaders(settings.keep_headers).add_to(read_message)
    made_up = generated_id(settings.stream, 0, arrival.recorded_at)
    shown: dict[str, Any]
    match message:
        case AcceptedMessage():
            shown = {"event": _event(message, made_up)}
        case MessageGroup(messages=messages):
            shown = {"events": [_event(one, made_up) for one in messages]}
        case RejectedMessage():
            shown = {"rejected": {"code": message.code, "reason": message.reason}}
    events = [shown["event"]] if "event" in shown else shown.get("events", [])
    if found := notes.notes(settings, by_pattern, arrival, events):
        shown["notes"] = found
    return shown


def _arrival(sample: Sample) -> Arrival:
    return Arrival(sample.subject, sample.headers, sample.raw, 0, moment.now())


def _event(message: AcceptedMessage, made_up: str) -> dict[str, Any]:
    event = dict(message.fields)
    if message.has_timestamp:
        event["timestamp"] = moment.to_text(event["timestamp"])
    else:
        del event["timestamp"]
    if event["messageId"].startswith(made_up):
        del event["messageId"]
    if message.expected_version is not None:
        event["expectedVersion"] = message.expected_version
    if message.claimed_version is not None:
        event["claimedVersion"] = message.claimed_version
    return event


def _envelopes(text: str) -> dict[str, MessageEnvelope]:
    try:
        given = envelopes.content(text)
        return compile_envelopes(
            envelopes.setting(given if envelopes.is_setting(given) else {">": envelopes.mapping(given)})
        )
    except ValueError as error:
        raise BadInput(f"{text[:80]!r}: {error}", "MAPPING") from None


def _say(shown: dict[str, Any]) -> None:
    refusal = shown.get("rejected")
    fate = f"rejected with {refusal['code']}: {refusal['reason']}" if refusal else "stored"
    say(f"{shown['sample']}  {shown['subject']}  {fate}")
    for note in shown.get("notes", []):
        say(f"   note: {note}")
    if not refusal:
        for line in json.dumps(shown.get("event", shown.get("events")), ensure_ascii=False, indent=2).split("\n"):
            say(f"   {line}")
