"""One stored run: its failures, spans, events, states and trace.

Payloads are read only where a page asks for them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from ..abc import StorageBackend
from ..events import EventType
from ..observability.spans import collect_spans
from ..records import EventHeader, StoredEvent
from ..storage import states_of
from ..storage.headers import parse_header
from ..storage.registry import AnnotatedRun
from .api import checked_type
from .errors import NotFoundError, RequestError
from .graphs import joins_of
from .runs import run_row
from .spans import (
    event_of,
    event_row,
    headers_of,
    incarnations_of,
    span_row,
    tries_by_number,
)
from .tracebacks import frames_of


CUT = 4_096
"""Characters of a payload's JSON that are sent without a request for the whole."""


WITHOUT_PAYLOAD = (EventType.START, EventType.STEP_START, EventType.STEP_END)
"""Events that have no payload, or the whole state; streams send none of it."""


OPEN_LABELS = ("running", "waiting", "stuck")
"""Labels of runs that may go on."""


def is_open(one: AnnotatedRun) -> bool:
    """Tell whether a run is open: it runs, or waits for a person or for a worker."""
    return one.run.label in OPEN_LABELS


@attrs.frozen
class EventFilter:
    """Which events of a run are requested."""

    types: tuple[str, ...] = ()
    """Only events of these types."""
    steps: tuple[str, ...] = ()
    """Only events of these steps."""
    text: str = ""
    """Occurs in the event's JSON."""
    after: int = 0
    """Only events with higher numbers."""
    limit: int = 500
    """Maximum number of events."""
    payload: str = "cut"
    """``none``, ``cut`` or ``full``."""


class StoredRun:
    """The data of one stored run.

    Args:
        one: its record.
        store: where it is.
        has_payloads: whether payloads and states may be shown.
    """

    def __init__(
        self, one: AnnotatedRun, store: StorageBackend, *, has_payloads: bool = True
    ) -> None:
        self.one = one
        self.store = store
        self.run_id: str = one.run.run_id
        self._has_payloads = has_payloads

    def is_still_open(self) -> bool:
        """Tell whether the run is open; data that are read after False are complete.

        A store that cannot be read now, because its writer is closing it, does not show
        whether the run goes on: it counts as open, and is asked again.
        """
        try:
            run = self.store.get_run(self.run_id)
        except (sqlite3.Error, OSError):
            return True
        return run is not None and run.label in OPEN_LABELS

    # -- the head

    def details(self) -> dict[str, Any]:
        """Return the run with its failures and how it ended."""
        run = self.one.run
        finish = self._finish()
        return {
            **run_row(self.one),
            "fingerprint": run.fingerprint,
            "lost_events": run.lost_events,
            "event_counts": self.store.count_events(self.run_id),
            "failures": self.failures(),
            "diagnostics": finish.get("diagnostics") or [],
            "metrics": finish.get("metrics"),
            "is_live": is_open(self.one),
            "is_stored": True,
            "joins": self._joins(),
            "last_seen": run.last_seen.isoformat() if run.last_seen else None,
        }

    def _joins(self) -> dict[str, list[str]]:
        version = self.one.run.fingerprint
        text = self.store.get_definition(version) if version else None
        description = json.loads(text) if text else None
        return joins_of(description) if isinstance(description, dict) else {}

    def _finish(self) -> dict[str, Any]:
        events = self.store.get_events(self.run_id, EventType.FINISH)
        for event in reversed(events):
            if event.step_name == "system":
                payload = _data(event).get("payload")
                return payload if isinstance(payload, dict) else {}
        return {}

    def failures(self) -> list[dict[str, Any]]:
        """Return every step that failed, by time; what only passes one on is left out."""
        events = self.store.get_events(self.run_id, EventType.STEP_ERROR)
        if not events:
            return []
        began = self._began(headers_of(self.store, self.run_id, limit=1))
        shapes = [_failure(event, began) for event in events]
        inner = [str(shape["step"]) for shape in shapes]
        return [
            shape
            for shape in shapes
            if not any(step.startswith(f"{shape['step']}:") for step in inner)
        ]

    def _began(self, headers: Sequence[EventHeader]) -> float:
        """Return the time of the first event, START, from which times count.

        The run may have begun earlier and waited for its place or its startup hooks.
        """
        return headers[0].timestamp if headers else self.one.run.start_time.timestamp()

    # -- spans

    def spans(self, after: int = 0, limit: int = 5_000) -> dict[str, Any]:
        """Return the spans that changed after an event, as rows."""
        headers = headers_of(self.store, self.run_id)
        spans = collect_spans(headers)
        begin = self._began(headers)
        if after:
            spans = [s for s in spans if max(s.first_seq or 0, s.last_seq or 0) > after]
        tries = tries_by_number(headers)
        rows = [span_row(s, begin, tries.get(s.last_seq, 1)) for s in spans[:limit]]
        return {
            "spans": rows,
            "next": headers[-1].seq if headers else 0,
            "t0": begin,
            "is_cut": len(spans) > limit,
            "incarnations": incarnations_of(headers, begin),
        }

    # -- events

    def events(self, wanted: EventFilter) -> dict[str, Any]:
        """Return a page of events."""
        for word in wanted.types:
            checked_type(word)
        page: list[dict[str, Any]] = []
        for event in self._matching(wanted):
            if len(page) == wanted.limit:
                return {"events": page, "next": page[-1]["seq"]}
            page.append(self._event(event, wanted.payload))
        return {"events": page, "next": None}

    def _matching(self, wanted: EventFilter) -> Iterator[StoredEvent]:
        kind = checked_type(wanted.types[0]) if len(wanted.types) == 1 else None
        text = wanted.text.casefold()
        is_plain = not (wanted.types or wanted.steps or text)
        most = wanted.limit + 1 if is_plain else None
        for event in self.store.get_events(
            self.run_id, kind, after=wanted.after, limit=most
        ):
            if (
                (not wanted.types or event.type_name in wanted.types)
                and (not wanted.steps or event.step_name in wanted.steps)
                and (not text or text in event.data.casefold())
            ):
                yield event

    def _event(self, event: StoredEvent, payload: str) -> dict[str, Any]:
        data = _data(event)
        shape: dict[str, Any] = {
            "seq": event.seq,
            "event_type": event.type_name,
            "step_name": event.step_name,
            "timestamp": event.timestamp.isoformat(),
            "at": event.timestamp.timestamp(),
            "invocation_id": data.get("invocation_id"),
            "attempt": data.get("attempt", 1),
            "scope": data.get("scope") or [],
            "meta": data.get("meta"),
        }
        if payload == "none" or not self._has_payloads:
            return shape
        value = data.get("payload")
        text = json.dumps(value)
        is_cut = payload == "cut" and len(text) > CUT
        return {
            **shape,
            "payload": text[:CUT] if is_cut else value,
            "is_cut": is_cut,
            "size": len(text),
        }

    def event_part(self, seq: int, part: str) -> str:
        """Return an event's payload or meta as JSON text.

        Raises:
            NotFoundError: there is no such event.
            RequestError: payloads are not shown.
        """
        if part == "payload" and not self._has_payloads:
            msg = "This dashboard shows no payloads."
            raise RequestError(msg)
        return json.dumps(_data(self._event_at(seq)).get(part), indent=1)

    def _event_at(self, seq: int) -> StoredEvent:
        found = event_of(self.store, self.run_id, seq)
        if found is None:
            msg = f"Run {self.run_id} has no event {seq}."
            raise NotFoundError(msg)
        return found

    def one_event(self, seq: int) -> dict[str, Any]:
        """Return one event with its whole payload."""
        return self._event(self._event_at(seq), "full")

    # -- states

    def states(self) -> list[dict[str, Any]]:
        """Return which events show a state: START and every STEP_END."""
        self._check_payloads()
        found: list[dict[str, Any]] = []
        before: Any = None
        for event, state in states_of(self.store.get_events(self.run_id)):
            if event.step_name.endswith(":system"):
                continue
            difference = diff_of(before, state) if found else None
            header = parse_header(event)
            found.append(
                {
                    "seq": event.seq,
                    "step": event.step_name,
                    "invocation_id": header.invocation_id if header else None,
                    "size": len(json.dumps(state)),
                    "changes": None if difference is None else _count(difference),
                }
            )
            before = state
        return found

    def state_at(self, seq: int) -> Any:
        """Return the state of the last event with a state, up to a number.

        Raises:
            NotFoundError: no event has a state, because states were not stored.
        """
        self._check_payloads()
        shown = [s for e, s in states_of(self._events_to(seq)) if e.seq <= seq]
        if not shown:
            msg = f"No state of run {self.run_id} was stored up to event {seq}."
            raise NotFoundError(msg)
        return shown[-1]

    def _events_to(self, seq: int) -> list[StoredEvent]:
        return [e for e in self.store.get_events(self.run_id) if e.seq <= seq]

    def _check_payloads(self) -> None:
        if not self._has_payloads:
            msg = "This dashboard shows no states."
            raise RequestError(msg)

    # -- a trace

    def trace(self) -> dict[str, Any]:
        """Return the spans in the format that Perfetto and Chrome open."""
        spans = collect_spans(headers_of(self.store, self.run_id))
        lanes: dict[str, int] = {}
        return {
            "displayTimeUnit": "ms",
            "traceEvents": [
                {
                    "ph": "X",
                    "name": span.label,
                    "cat": span.kind.value,
                    "ts": round(span.start * 1e6),
                    "dur": round(span.seconds * 1e6),
                    "pid": 1,
                    "tid": lanes.setdefault(span.label, len(lanes) + 1),
                    "args": {"status": span.status.value, "attempt": span.attempt},
                }
                for span in spans
            ],
        }

    # -- a stream

    def rows_after(self, after: int, limit: int) -> list[list[Any]]:
        """Return the next events as rows for a stream."""
        headers = headers_of(self.store, self.run_id, after, limit)
        payloads: dict[int, Any] = {}
        if any(header.type not in WITHOUT_PAYLOAD for header in headers):
            events = self.store.get_events(self.run_id, after=after, limit=limit)
            payloads = {event.seq: self._stream_payload(event) for event in events}
        return [event_row(header, payloads.get(header.seq or 0)) for header in headers]

    def _stream_payload(self, stored: StoredEvent) -> Any:
        """Return the payload that a list of events shows: tokens, errors and counts;
        never a state.
        """
        if stored.event_type in WITHOUT_PAYLOAD or not self._has_payloads:
            return None
        value = _data(stored).get("payload")
        text = json.dumps(value)
        return value if len(text) <= CUT else text[:CUT]


def _data(event: StoredEvent) -> dict[str, Any]:
    try:
        data = json.loads(event.data)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _failure(event: StoredEvent, began: float) -> dict[str, Any]:
    data = _data(event)
    meta = data.get("meta")
    framework = meta.get("framework") if isinstance(meta, dict) else None
    facts: dict[str, Any] = framework if isinstance(framework, dict) else {}
    payload = data.get("payload")
    return {
        "seq": event.seq,
        "step": event.step_name,
        "label": _label(event.step_name, data.get("scope")),
        "invocation_id": data.get("invocation_id"),
        "at": round(event.timestamp.timestamp() - began, 6),
        "error_type": facts.get("error_type"),
        "message": payload if isinstance(payload, str) else json.dumps(payload),
        "attempt": max(data.get("attempt") or 1, facts.get("tries") or 1),
        "traceback": facts.get("traceback"),
        **frames_of(str(facts.get("traceback") or "")),
    }


def _label(stage: str, scope: object) -> str:
    """Name the item where a map worker failed: ``scene[3]``."""
    last = scope[-1] if isinstance(scope, list) and scope else ""
    name = stage.rpartition(":")[2]
    return str(last) if str(last).startswith(f"{name}[") else stage


# -- differences


Path = list[str | int]


def diff_of(before: Any, after: Any) -> dict[str, Any]:
    """Return the added, removed and changed parts of two states, by path."""
    difference: dict[str, Any] = {"added": [], "removed": [], "changed": []}
    _compare(before, after, [], difference)
    return difference


def _compare(before: Any, after: Any, path: Path, into: dict[str, Any]) -> None:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            _compare_at(before, after, key, path, into)
    elif isinstance(before, list) and isinstance(after, list):
        old, new = dict(enumerate(before)), dict(enumerate(after))
        for index in {**old, **new}:
            _compare_at(old, new, index, path, into)
    elif before != after or type(before) is not type(after):
        into["changed"].append({"path": path, "before": before, "after": after})


def _compare_at(
    before: dict[Any, Any],
    after: dict[Any, Any],
    key: str | int,
    path: Path,
    into: dict[str, Any],
) -> None:
    here = [*path, key]
    if key not in before:
        into["added"].append({"path": here, "after": after[key]})
    elif key not in after:
        into["removed"].append({"path": here, "before": before[key]})
    else:
        _compare(before[key], after[key], here, into)


def _count(difference: dict[str, Any]) -> int:
    return sum(len(part) for part in difference.values())
