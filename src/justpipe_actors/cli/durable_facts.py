"""Facts about a durable run from its journal: what it waits for, and how it goes on."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import attrs
from rich.table import Table
from rich.text import Text

from .._supervisor.forking import fold_rows
from ..abc import Journal, JournaledRun, OpenAsk, RunFilter, RunRow
from ..codec import to_plain
from .answers import example_of, how_to_answer
from .formatting import (
    canvas_for,
    format_time,
    open_console,
    print_table,
    printable,
    status_text,
)
from .journal_options import ask_to_json, find_stored, opened


NEXT_COMMAND = {
    "stuck": ("Go on with", "redrive"),
    "suspended": ("Go on with", "resume"),
    "failed": ("Try again with", "retry"),
    "timeout": ("Try again with", "retry"),
    "cancelled": ("Try again with", "retry"),
}
"""The command that lets a run go on, by status, and what it is called."""


@attrs.frozen(kw_only=True)
class Timer:
    """A time that a run waits for."""

    step: str
    """The step that waits."""
    key: str
    """The key of the wait."""
    due: datetime
    """When it goes on."""


@attrs.frozen(kw_only=True)
class DurableFacts:
    """A durable run as its journal has it."""

    run: JournaledRun
    journal: str
    """Location of the journal."""
    asks: tuple[OpenAsk, ...]
    timers: tuple[Timer, ...]
    """The times that it waits for."""
    steps: dict[str, int]
    """Number of invocations that have begun or are queued, by step."""
    copy_of: str | None = None
    """The run that it is a fork, a retry or a resumption of."""
    resumed_by: str | None = None
    """The run that goes on for it, if it was suspended and then resumed."""

    @property
    def waits(self) -> list[dict[str, Any]]:
        """What it waits for, as JSON values."""
        found: list[dict[str, Any]] = [
            {"kind": "ask", **ask_to_json(one)} for one in self.asks
        ]
        found += [{"kind": "timer", **to_plain(one)} for one in self.timers]
        return found


def read_facts(journal: Journal, row: RunRow) -> DurableFacts | None:
    """Return the facts about a run from a journal; None if it has just been removed."""
    shown = journal.runs(RunFilter(prefix=row.run_id))
    run = next((one for one in shown if one.run_id == row.run_id), None)
    if run is None:
        return None
    is_open = row.outcome is None
    asks = tuple(journal.asks(row.run_id)) if is_open else ()
    entities = fold_rows(journal.load(row.id))[0] if is_open else {}
    return DurableFacts(
        run=run,
        journal=journal.location,
        asks=asks,
        timers=tuple(_timers(entities, row, asks)),
        steps=_unfinished_steps(entities),
        copy_of=row.forked_from,
        resumed_by=row.resumed_by,
    )


_MESSAGE_KEY = re.compile(r"(c/\d+/)*[em]/\d+")


def _unfinished_steps(entities: dict[str, Any]) -> dict[str, int]:
    """Return how many messages each step has, those of child runs included."""
    names = (
        message["s"] for key, message in entities.items() if _MESSAGE_KEY.fullmatch(key)
    )
    return dict(Counter(names))


def _timers(
    entities: dict[str, Any], row: RunRow, asks: tuple[OpenAsk, ...]
) -> Iterator[Timer]:
    """Yield the open waits of a run that are no questions."""
    asked = {one.id.removeprefix(f"{row.run_id}:") for one in asks}
    for key, wait in entities.items():
        name = key.removeprefix("a/")
        is_over = wait.get("late") or "v" in wait if name != key else True
        if is_over or name in asked or wait["due"] is None:
            continue
        step, _, wait_key = wait["n"].partition(":")
        due = datetime.fromtimestamp(wait["due"], UTC)
        yield Timer(step=step, key=wait_key, due=due)


def fact_rows(facts: DurableFacts) -> Iterator[tuple[str, Text]]:
    """Yield what a run waits for and how to answer, as rows of a table."""
    for ask in facts.asks:
        due = f", due {format_time(ask.due_at)}" if ask.due_at else ""
        note = f'"{printable(ask.note)}" ' if ask.note else ""
        asked = f"{note}asked by step {printable(ask.step)}{due}"
        yield "Waits for", Text(f"an answer to {asked}")
        yield "Form", Text(printable(_form_text(ask.form)))
        if ask.problem:
            yield "Problem", Text(printable(ask.problem))
        yield "Answer with", Text(printable(how_to_answer(ask.id, ask.form)))
    for timer in facts.timers:
        due = format_time(timer.due)
        yield "Waits for", Text(f"{due}, in step {printable(timer.step)}")
    yield from _progress_rows(facts)


def _progress_rows(facts: DurableFacts) -> Iterator[tuple[str, Text]]:
    """Yield how far a run is, why it does not go on, and what to do about it."""
    run = facts.run
    if run.status == "running" and facts.steps:
        parts = (
            name if count == 1 else f"{name} ({count} times)"
            for name, count in facts.steps.items()
        )
        yield "Unfinished", Text(printable(", ".join(parts)))
    if run.status == "ready" or (run.status == "waiting" and not list(facts.waits)):
        yield "Waits for", Text(f"a process with the pipe '{printable(run.pipe)}'")
    if run.incarnation > 1:
        yield "Taken up", Text(f"{run.incarnation} times")
    if run.problem and run.status == "stuck":
        yield "Problem", Text(printable(run.problem))
    if facts.copy_of is not None:
        yield "Copy of", Text(printable(facts.copy_of))
    if facts.resumed_by is not None:
        yield "Resumed as", Text(printable(facts.resumed_by))
    elif run.status in NEXT_COMMAND:
        title, command = NEXT_COMMAND[run.status]
        yield title, Text(f"justpipe-actors {command} {printable(run.run_id)}")
    yield "Journal", Text(printable(facts.journal))


def _form_text(form: dict[str, Any]) -> str:
    """Return the fields and types of a form on one line."""
    if form.get("type") != "object":
        return str(form.get("title") or form.get("type") or json.dumps(form))
    fields = form.get("properties", {})
    parts = (f"{name}: {one.get('type', 'any')}" for name, one in fields.items())
    return "{" + ", ".join(parts) + "}" if fields else example_of(form)


def facts_to_json(facts: DurableFacts) -> dict[str, Any]:
    """Return the facts about a run from a journal, for programs."""
    return {
        "journal": facts.journal,
        "incarnation": facts.run.incarnation,
        "wake_at": to_plain(facts.run.wake_at),
        "waits": facts.waits,
        "steps": facts.steps,
        "copy_of": facts.copy_of,
        "resumed_by": facts.resumed_by,
        "problem": facts.run.problem,
    }


def show_journaled(run_id: str, journal: str, *, is_json: bool) -> None:
    """Write a run that is in a journal and in no history.

    Raises:
        CommandFailed: there is no such run.
    """
    with opened(journal) as store:
        facts = read_facts(store, find_stored(store, run_id))
    if facts is None:
        return
    if is_json:
        document = {**to_plain(facts.run), **facts_to_json(facts)}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return
    console, run = open_console(sys.stdout), facts.run
    table = Table.grid(padding=(0, 2, 0, 0))
    rows = [
        ("Run", Text(printable(run.run_id))),
        ("Pipeline", Text(printable(run.pipe))),
        ("Status", status_text(run.status, canvas_for(console))),
        ("Submitted", Text(format_time(run.created_at))),
    ]
    if run.ended_at is not None:
        rows.append(("Ended", Text(format_time(run.ended_at))))
    for name, value in (*rows, *fact_rows(facts)):
        table.add_row(Text(name, "dim"), value)
    print_table(console, table)
