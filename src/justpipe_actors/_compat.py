"""Names of justpipe that are only aliases here, for programs that were written for it.

New programs use the modules that these functions and classes come from.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ._util.text import escape_controls, format_time
from .errors import AmbiguousRunError
from .outcomes import PipelineTerminalStatus
from .storage import SQLiteBackend
from .storage.registry import AnnotatedRun, PipelineInfo, PipelineRegistry


__all__ = [
    "AnnotatedRun",
    "PipelineInfo",
    "PipelineRegistry",
    "format_status",
    "format_timestamp",
    "parse_run_meta",
    "resolve_or_exit",
    "short_id",
]

format_timestamp = format_time
"""The name of ``format_time`` in justpipe."""

SHORT_ID_LENGTH = 12
"""Characters of a run id that tables show."""

_STATUS_COLORS = {"success": "green", "failed": "red"}


def short_id(run_id: str, full: bool = False) -> str:  # noqa: FBT001, FBT002 - justpipe's
    """Return the beginning of a run id, or all of it."""
    if full or len(run_id) <= SHORT_ID_LENGTH:
        return run_id
    return f"{run_id[:SHORT_ID_LENGTH]}..."


def format_status(status: PipelineTerminalStatus | str) -> str:
    """Return a status as markup of rich: green, red, or yellow for the others."""
    text = status if isinstance(status, str) else status.value
    color = _STATUS_COLORS.get(text, "yellow")
    return f"[{color}]{text}[/{color}]"


def parse_run_meta(text: str | None) -> Any:
    """Return the metadata of a run: parsed JSON, or the text that is none."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def resolve_or_exit(
    registry: PipelineRegistry, run_id_prefix: str
) -> tuple[AnnotatedRun, SQLiteBackend]:
    """Return the run that an id or its beginning names.

    Raises:
        SystemExit: there is none (status 1), or there are several (status 2); a message
            on standard error says so.
    """
    try:
        found = registry.resolve_run(run_id_prefix)
    except AmbiguousRunError as error:
        sys.stderr.write(f"{escape_controls(str(error))}\n")
        raise SystemExit(2) from error
    if found is None:
        sys.stderr.write(f"Run not found: {escape_controls(run_id_prefix)}\n")
        raise SystemExit(1)
    return found
