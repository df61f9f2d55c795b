"""``answer``: answer a question of a durable run."""

from __future__ import annotations

import getpass
import json
import sys

import click

from ..._supervisor import stored_runs
from ...abc import Journal
from ..answers import parse_answer
from ..errors import InvalidInput
from ..formatting import printable
from ..journal_options import find_stored, journal_option, opened
from ..options import json_option


@click.command("answer")
@click.argument("ask", metavar="ASK")
@click.argument("value", metavar="JSON")
@click.option(
    "--by",
    metavar="NAME",
    help="Name of the person or program that answers; the user's name by default.",
)
@journal_option
@json_option
def command(
    ask: str, value: str, by: str | None, journal: str, *, is_json: bool
) -> None:
    """Answer a question of a durable run; the first answer wins.

    ASK is the question's id.  The id of a run is enough when one question of it is open.
    JSON is the answer; any other text is a string, and yes or no answer a
    boolean question.
    """
    with opened(journal) as store:
        ask_id = _ask_id(store, ask)
        answer = parse_answer(value, _form_of(store, ask_id))
        stored_runs.answer(store, ask_id, answer, by or _user())
    if is_json:
        sys.stdout.write(json.dumps({"ask": ask_id, "answered": True}) + "\n")
    else:
        sys.stdout.write(f"answered {printable(ask_id)}\n")


def _ask_id(store: Journal, text: str) -> str:
    """Return the id of the question that is meant.

    Raises:
        InvalidInput: a run is meant that asks several, or none.
    """
    asks = store.asks()
    if any(one.id == text for one in asks) or store.find(text) is None:
        if ":" in text:
            return text
        text = find_stored(store, text).run_id
    found = [one.id for one in asks if one.run_id == text]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(found) if found else "none"
    msg = f"Run '{printable(text)}' has not one open question, but: {listed}."
    raise InvalidInput(msg)


def _form_of(store: Journal, ask_id: str) -> dict[str, object]:
    """Return the form of an open question; empty for any other, which is refused."""
    return next((one.form for one in store.asks() if one.id == ask_id), {})


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return None
