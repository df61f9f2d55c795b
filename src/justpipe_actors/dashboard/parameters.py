"""Query parameters as values, checked; a wrong one is answered with 422.  Pure."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from starlette.datastructures import QueryParams

from .api import checked_labels
from .errors import RequestError, UnknownWordError
from .logs import LogFilter
from .run_details import EventFilter
from .runs import RunFilter, parse_query


LARGEST = 2**63 - 1
"""The largest whole number that a store can look for."""


def whole_number(text: str) -> int | None:
    """Return the whole number that a text writes in digits; None if it is none."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(LARGEST))
    return int(text) if is_number else None


def number(
    query: QueryParams, name: str, default: int, least: int, most: int = LARGEST
) -> int:
    """Return a whole number within bounds.

    Raises:
        RequestError: it is none, or out of bounds.
    """
    text = query.get(name)
    if text is None:
        return default
    value = whole_number(text)
    if value is None or not least <= value <= most:
        bounds = f"at least {least}" if most == LARGEST else f"from {least} to {most}"
        msg = f"{name}={text[:40]!r} must be a whole number {bounds}."
        raise RequestError(msg)
    return value


def moment(query: QueryParams, name: str) -> datetime | None:
    """Return a time; one without a zone is UTC.

    Raises:
        RequestError: it is no ISO 8601.
    """
    text = query.get(name)
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        msg = f"{name}={text!r} is no time; write it like 2026-01-31T12:00:00+00:00."
        raise RequestError(msg) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def many(query: QueryParams, name: str) -> tuple[str, ...]:
    """Return the values of a parameter that may be repeated or have commas."""
    parts = (part for text in query.getlist(name) for part in text.split(","))
    return tuple(part for part in parts if part)


def run_filter(query: QueryParams) -> RunFilter:
    """Return which runs are asked for.

    Raises:
        RequestError: one of the parameters makes no sense.
    """
    text, terms = parse_query(query.get("q", ""))
    return RunFilter(
        labels=checked_labels(many(query, "status")),
        pipelines=many(query, "pipeline"),
        since=moment(query, "since"),
        until=moment(query, "until"),
        text=text,
        terms=terms,
    )


def event_filter(query: QueryParams) -> EventFilter:
    """Return which events are asked for.

    Raises:
        RequestError: one of the parameters makes no sense.
    """
    payload = query.get("payload", "cut")
    if payload not in ("none", "cut", "full"):
        msg = f"payload={payload!r} is none of none, cut, full."
        raise RequestError(msg)
    return EventFilter(
        types=many(query, "type"),
        steps=many(query, "step"),
        text=query.get("q", ""),
        after=number(query, "after", 0, 0),
        limit=number(query, "limit", 500, 1, 5_000),
        payload=payload,
    )


LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
"""The levels of log records."""


def log_filter(query: QueryParams) -> LogFilter:
    """Return which log records are asked for.

    Raises:
        RequestError: one of the parameters makes no sense.
    """
    word = query.get("level", "DEBUG").upper()
    if word not in LEVELS:
        raise UnknownWordError(parameter="level", word=word, known=LEVELS)
    return LogFilter(
        level=logging.NOTSET
        if word == "DEBUG"
        else logging.getLevelNamesMapping()[word],
        steps=many(query, "step"),
        text=query.get("q", ""),
        after=number(query, "after", 0, 0),
        limit=number(query, "limit", 500, 1, 5_000),
    )
