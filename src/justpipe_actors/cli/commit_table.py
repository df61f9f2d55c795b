"""The commits of a durable run, which are the values of ``fork --at``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

from ..abc import Commit
from .formatting import (
    format_time,
    new_table,
    open_console,
    print_table,
    truncatable_text,
)
from .journal_options import find_stored, opened


def show_commits(run_id: str, journal: str, *, is_json: bool) -> None:
    """Write the commits of a run, the oldest first."""
    with opened(journal) as store:
        rows = store.commits(find_stored(store, run_id).id)
    if is_json:
        sys.stdout.write(json.dumps([_to_json(row) for row in rows], indent=2) + "\n")
        return
    console = open_console(sys.stdout)
    table = new_table("Commit", "Kind", "At", "Started", flexible="Started")
    for row in rows:
        table.add_row(
            str(row.n),
            row.kind,
            format_time(datetime.fromtimestamp(row.at, UTC)),
            truncatable_text(", ".join(_started(row))),
        )
    print_table(console, table)


def _to_json(row: Commit) -> dict[str, object]:
    return {
        "n": row.n,
        "kind": row.kind,
        "at": datetime.fromtimestamp(row.at, UTC).isoformat(),
        "started": list(_started(row)),
        "bytes": len(row.delta) + len(row.state or ""),
    }


def _started(row: Commit) -> Iterator[str]:
    """Yield the steps that wait to run, or run, since this commit."""
    for key, value in json.loads(row.delta).items():
        if key.startswith("m/") and isinstance(value, dict):
            yield str(value.get("s"))
