"""Runs `eventscope envelope try`: parses messages as the ingester would, without any server."""

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
    """Print what each sample would become, and return the exit code: 1 if one would be rejected.

    `mapping` is a mapping or a whole setting, as JSON or the path of a file. BadInput when it or a sample is wrong.
    """
    by_pattern = _envelopes(mapping)
    rejected = 0
    parsed = samples(content, subject)
    absent = notes.absent(by_pattern, map(_arrival, parsed))
    for number, sample in enumerate(parsed, 1):
        report: dict[str, Any] = {"sample": number, "subject": sample.subject} | outcome(settings, by_pattern, sample)
        rejected += "rejected" in report
        if as_json:
            mapper = notes.mapping(by_pattern, _arrival(sample))
            if mapping_notes := absent.get(id(mapper)):
                report["notes"] = report.get("notes", []) + mapping_notes
            say_json(orjson.dumps(report, default=plain))
        else:
            _say(report)
    if not as_json:
        for note in dict.fromkeys(note for several in absent.values() for note in several):
            say(f"note: {note}")
        say(f"{len(parsed) - rejected} of {len(parsed)} would be stored")
    return 1 if rejected else 0


def outcome(settings: Settings, by_pattern: dict[str, MessageEnvelope], sample: Sample) -> dict[str, Any]:
    """What one sample would become: `event`, or `events` if it holds several, or `rejected` with its code and reason.

    Left out is what only NATS determines, like an id generated from the place in the stream. `notes` are probable
    mistakes.
    """
    arrival = _arrival(sample)
    subject_type = type_of(sample.subject, settings.subjects)
    use = first_match(sample.subject, settings.message_version) or "claim"
    read_message = parse_message(arrival, settings.stream, subject_type, first_match(sample.subject, by_pattern), use)
    message = KeptHeaders(settings.keep_headers).add_to(read_message)
    generated = generated_id(settings.stream, 0, arrival.recorded_at)
    report: dict[str, Any]
    match message:
        case AcceptedMessage():
            report = {"event": _event(message, generated)}
        case MessageGroup(messages=messages):
            report = {"events": [_event(one, generated) for one in messages]}
        case RejectedMessage():
            report = {"rejected": {"code": message.code, "reason": message.reason}}
    events = [report["event"]] if "event" in report else report.get("events", [])
    if found := notes.notes(settings, by_pattern, arrival, events):
        report["notes"] = found
    return report


def _arrival(sample: Sample) -> Arrival:
    return Arrival(sample.subject, sample.headers, sample.raw, 0, moment.now())


def _event(message: AcceptedMessage, generated: str) -> dict[str, Any]:
    event = dict(message.fields)
    if message.has_timestamp:
        event["timestamp"] = moment.to_text(event["timestamp"])
    else:
        del event["timestamp"]
    if event["messageId"].startswith(generated):
        del event["messageId"]
    if message.expected_version is not None:
        event["expectedVersion"] = message.expected_version
    if message.claimed_version is not None:
        event["claimedVersion"] = message.claimed_version
    return event


def _envelopes(text: str) -> dict[str, MessageEnvelope]:
    try:
        value = envelopes.content(text)
        setting = value if envelopes.is_setting(value) else {">": envelopes.mapping(value)}
        return compile_envelopes(envelopes.setting(setting))
    except ValueError as error:
        raise BadInput(f"{text[:80]!r}: {error}", "MAPPING") from None


def _say(report: dict[str, Any]) -> None:
    rejection = report.get("rejected")
    result = f"rejected with {rejection['code']}: {rejection['reason']}" if rejection else "stored"
    say(f"{report['sample']}  {report['subject']}  {result}")
    for note in report.get("notes", []):
        say(f"   note: {note}")
    if not rejection:
        for line in json.dumps(report.get("event", report.get("events")), ensure_ascii=False, indent=2).split("\n"):
            say(f"   {line}")
