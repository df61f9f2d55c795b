"""The tables of the SQLite store, and the migration of older files.

::

    runs    one row per run, from its beginning on
    chunks  consecutive events of one run in one row; no number is in two
    events  UNIQUE (run, seq): events that came as text, one in each row
    every_event   a view with a row for every event, for plain SQL
    definitions   what the fingerprints of runs stand for

A chunk has JSON for each column and not for each event: ``records.EventChunk`` says what
they hold.  There is no index beside the keys, and filters by type read one run only.

``user_version`` counts the schema.

=======  =================================================================================
0        the reference's: a writer moves its rows over, and a reader, which changes
         nothing, sees them through views
1        had no chunks: an event, or a burst of tokens, was a row of ``events``, with its
         place (stage, ids, scope) as JSON, or as the number of an event that has it; its
         payload likewise; ``timestamp`` of a burst is a blob of doubles and its payload
         an array.  Such rows stay where they are and are read
2        had no ``journal`` of a run
3        this one
=======  =================================================================================
"""

from __future__ import annotations

import sqlite3

from ...errors import StoreVersionError


VERSION = 3
"""The schema that this version writes."""

_CHUNKS = """
CREATE TABLE chunks (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL CHECK (last >= first),
    times BLOB NOT NULL,
    fields TEXT NOT NULL,
    payloads TEXT NOT NULL,
    metas TEXT,
    echoes TEXT,
    counts TEXT NOT NULL,
    PRIMARY KEY (run, first)
);
"""

_TABLES = f"""
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE,
    start_time REAL NOT NULL,
    end_time REAL,
    duration_s REAL,
    status TEXT NOT NULL,
    error_message TEXT,
    error_step TEXT,
    run_meta TEXT,
    reason TEXT,
    is_suspended INTEGER NOT NULL DEFAULT 0,
    fingerprint TEXT,
    owner TEXT,
    last_seen REAL,
    lost_events INTEGER NOT NULL DEFAULT 0,
    journal TEXT
);
CREATE INDEX idx_runs_time ON runs (start_time DESC, id DESC);
CREATE INDEX idx_runs_running ON runs (owner) WHERE status = 'running';
CREATE TABLE events (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    type TEXT NOT NULL,
    timestamp NOT NULL,
    place,
    payload,
    meta TEXT,
    PRIMARY KEY (run, seq)
) WITHOUT ROWID;
{_CHUNKS.strip()}
CREATE TABLE definitions (
    fingerprint TEXT PRIMARY KEY,
    description TEXT NOT NULL
) WITHOUT ROWID;
"""

_VIEW = """
CREATE VIEW every_event AS
SELECT r.run_id, c.first + p.key AS seq,
    coalesce(
        json_extract(c.fields, '$.each.type[' || p.key || ']'),
        json_extract(c.fields, '$.type')
    ) AS type,
    coalesce(
        json_extract(c.fields, '$.each.stage[' || p.key || ']'),
        json_extract(c.fields, '$.stage')
    ) AS stage,
    p.value AS payload,
    json_extract(c.metas, '$[' || p.key || ']') AS meta,
    json_extract(c.echoes, '$."' || p.key || '"') AS same_payload_as
FROM runs r JOIN chunks c ON c.run = r.id, json_each(c.payloads) p
UNION ALL
SELECT r.run_id, e.seq, e.type, json_extract(e.payload, '$.stage'),
    json_extract(e.payload, '$.payload'), json_extract(e.payload, '$.meta'), NULL
FROM runs r JOIN events e ON e.run = r.id
WHERE e.place IS NULL
"""

_REFERENCE_RUNS = """
SELECT r.rowid AS id, r.run_id,
    CASE WHEN r.start_time > 0 THEN r.start_time ELSE coalesce(
        (SELECT min(e.timestamp) FROM {events} e WHERE e.run_id = r.run_id), 0
    ) END AS start_time,
    r.end_time, r.duration_s, coalesce(r.status, 'failed') AS status,
    r.error_message, {error_step} AS error_step, {run_meta} AS run_meta,
    NULL AS reason, 0 AS is_suspended, NULL AS fingerprint, NULL AS owner,
    NULL AS last_seen, 0 AS lost_events, NULL AS journal
FROM {runs} r
"""

# The reference numbered the events of its final flush again from 1; the text is right.
_REFERENCE_EVENTS = """
SELECT r.rowid AS run, coalesce(json_extract(e.data, '$.seq'), e.seq) AS seq,
    coalesce(json_extract(e.data, '$.type'), '') AS type, e.timestamp,
    NULL AS place, e.data AS payload, NULL AS meta
FROM {events} e JOIN {runs} r ON r.run_id = e.run_id
GROUP BY 1, 2
"""


def version_of(connection: sqlite3.Connection) -> int:
    """Return the schema's version; 0 for the reference's, and for an empty file."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Bring a file to this version's schema, in one transaction.

    Raises:
        StoreVersionError: a newer version has written it.
        sqlite3.Error: it is no database, or cannot be written.
    """
    version = version_of(connection)
    if version == VERSION:
        return
    if version > VERSION:
        raise StoreVersionError(path, version, VERSION)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have migrated the file before this one got the lock.
        if version_of(connection) < VERSION:
            _create_or_migrate(connection)
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _create_or_migrate(connection: sqlite3.Connection) -> None:
    version = version_of(connection)
    columns = _run_columns(connection)
    if version and "journal" not in columns:
        connection.execute("ALTER TABLE runs ADD COLUMN journal TEXT")
    if version == 2:
        return
    if version == 1:
        connection.execute(_CHUNKS)
    elif columns:
        _migrate_from_reference(connection)
    else:
        _create(connection)
    connection.execute(_VIEW)


def show_as_current_schema(connection: sqlite3.Connection) -> None:
    """Show an older schema as this version's, without changing the file."""
    version = version_of(connection)
    if version == 1:
        connection.execute(_as_temporary(_CHUNKS))
    columns = _run_columns(connection)
    if version and "journal" not in columns:
        connection.execute(
            "CREATE TEMP VIEW runs AS SELECT *, NULL AS journal FROM main.runs"
        )
    if version:
        return
    if not columns:
        for statement in _TABLES.split(";"):
            if "INDEX" not in statement:
                connection.execute(_as_temporary(statement))
        return
    runs, events = _selects_from_reference(columns, "main.runs", "main.events")
    connection.execute(f"CREATE TEMP VIEW runs AS {runs}")
    connection.execute(f"CREATE TEMP VIEW events AS {events}")
    connection.execute(_as_temporary(_CHUNKS))
    connection.execute(
        "CREATE TEMP VIEW definitions AS SELECT '' AS fingerprint, '' AS description LIMIT 0"
    )


def _create(connection: sqlite3.Connection) -> None:
    for statement in _TABLES.split(";"):
        connection.execute(statement)


def _as_temporary(statement: str) -> str:
    return statement.replace("CREATE TABLE", "CREATE TEMP TABLE")


def _migrate_from_reference(connection: sqlite3.Connection) -> None:
    columns = _run_columns(connection)
    connection.execute("ALTER TABLE events RENAME TO old_events")
    connection.execute("ALTER TABLE runs RENAME TO old_runs")
    for (index,) in connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'idx_%'"
    ).fetchall():
        connection.execute(f'DROP INDEX "{index}"')
    _create(connection)
    runs, events = _selects_from_reference(columns, "old_runs", "old_events")
    connection.execute(f"INSERT INTO runs {runs}")
    connection.execute(f"INSERT INTO events {events}")
    connection.execute("DROP TABLE old_events")
    connection.execute("DROP TABLE old_runs")


def _selects_from_reference(
    columns: set[str], runs: str, events: str
) -> tuple[str, str]:
    names = {
        "runs": runs,
        "events": events,
        "error_step": "r.error_step" if "error_step" in columns else "NULL",
        "run_meta": next(
            (f"r.{name}" for name in ("run_meta", "user_meta") if name in columns),
            "NULL",
        ),
    }
    return _REFERENCE_RUNS.format(**names), _REFERENCE_EVENTS.format(**names)


def _run_columns(connection: sqlite3.Connection) -> set[str]:
    """Return the columns of the file's runs; none when it has no such table."""
    return {row[1] for row in connection.execute("PRAGMA table_info(runs)")}
