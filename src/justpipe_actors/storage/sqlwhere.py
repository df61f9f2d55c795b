"""The questions to the SQLite store: what ``queries`` says in Python, in SQL.

``is_gone`` and ``folded`` are this package's own functions, known to every connection.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..records import LABELS, RunQuery


RUNS = """(
    SELECT id, run_id, start_time, end_time, duration_s,
        CASE WHEN is_lost THEN 'abandoned' ELSE status END AS status,
        CASE WHEN is_lost THEN coalesce(error_message, :abandoned) ELSE error_message
        END AS error_message,
        error_step, run_meta, reason, is_suspended, fingerprint, owner, last_seen,
        lost_events
    FROM (
        SELECT *, CASE status WHEN 'running' THEN is_gone(owner, last_seen) ELSE 0
        END AS is_lost FROM runs
    )
)"""
"""The runs as they truly stand: one whose owner is gone is abandoned."""

LABEL = "CASE WHEN is_suspended THEN 'suspended' ELSE status END"
"""``RunRecord.label``."""

EVENTS = """
SELECT e.seq, e.type, e.timestamp,
    CASE typeof(e.place) WHEN 'integer' THEN (
        SELECT first.place FROM events first
        WHERE first.run = e.run AND first.seq = e.place
    ) ELSE e.place END,
    CASE typeof(e.payload) WHEN 'integer' THEN (
        SELECT first.payload FROM events first
        WHERE first.run = e.run AND first.seq = e.payload
    ) ELSE e.payload END,
    e.meta
FROM runs r JOIN events e ON e.run = r.id
WHERE r.run_id = :run_id
    AND (:kind IS NULL OR e.type = :kind)
    AND e.seq >= coalesce(
        (SELECT max(b.seq) FROM events b WHERE b.run = r.id AND b.seq <= :after), 0
    )
ORDER BY e.seq
LIMIT :limit
"""
"""A run's single events from ``after`` on; in rows of schema 1 what they refer to, too."""

_CHUNK = """
SELECT c.first, c.last, c.times, c.fields, c.payloads, c.metas, c.echoes, c.counts
FROM runs r JOIN chunks c ON c.run = r.id
WHERE r.run_id = :run_id
"""

CHUNKS = f"""{_CHUNK}
    AND c.last > :after
    AND (:kind IS NULL OR NOT json_valid(c.counts)
        OR json_extract(c.counts, '$."' || :kind || '"') > 0)
ORDER BY c.first
"""
"""A run's chunks from the one after ``after`` on, as ``EventChunk`` has them."""

CHUNK_OF = f"""{_CHUNK}
    AND c.first <= :seq AND c.last >= :seq
ORDER BY c.first DESC
LIMIT 1
"""
"""The chunk that an event is in."""

COUNTS = """
SELECT e.type, sum(
    CASE typeof(e.timestamp) WHEN 'blob' THEN length(e.timestamp) / 8 ELSE 1 END
)
FROM runs r JOIN events e ON e.run = r.id
WHERE r.run_id = :run_id
GROUP BY 1
UNION ALL
SELECT kind.key, sum(kind.value)
FROM runs r JOIN chunks c ON c.run = r.id,
    json_each(CASE json_valid(c.counts) WHEN 1 THEN c.counts ELSE '{}' END) kind
WHERE r.run_id = :run_id
GROUP BY 1
"""
"""A run's events by type, single ones and those in chunks; a type may come twice."""

Condition = tuple[str, Mapping[str, object]]
"""SQL, and the values of its parameters."""


def where(query: RunQuery) -> Condition:
    """Return the condition that a query is."""
    conditions: list[str] = []
    values: dict[str, object] = {}
    if query.labels:
        known = [name for name in LABELS if name in query.labels]
        quoted = ", ".join(f"'{name}'" for name in known)
        conditions.append(f"{LABEL} IN ({quoted})")
    if query.since is not None:
        conditions.append("start_time >= :since")
        values["since"] = query.since.timestamp()
    if query.until is not None:
        conditions.append("start_time < :until")
        values["until"] = query.until.timestamp()
    if query.text:
        conditions.append(
            "instr(folded(error_message) || char(10) || folded(error_step) "
            "|| char(10) || folded(run_meta), folded(:text)) > 0"
        )
        values["text"] = query.text
    return " AND ".join(conditions) or "1", values
