"""Show the asks of a run at the terminal and read the answers."""

from __future__ import annotations

import sys

import anyio

from .._run.run_stream import RunStream
from ..errors import AnswerRejected, UnknownAsk
from ..events import Event
from .answer_values import parse_answer
from .formatting import printable
from .journal_options import example_of, how_to_answer
from .views import View


async def ask_at_terminal(run: RunStream, event: Event, view: View) -> None:
    """Show the ask and how to answer it; at a terminal, read the answer."""
    ask, note, form = (event.payload[name] for name in ("ask", "note", "form"))
    if sys.stdin is None or not sys.stdin.isatty():
        view.notice(f"asks: {printable(note)} [{printable(ask)}]")
        view.notice(f"answer with: {how_to_answer(ask, form)}")
        return
    # Use a single notice: the live view shows only the last one.
    view.notice(f"{printable(note) or printable(ask)}  [as {example_of(form)}]")
    while True:
        line = await anyio.to_thread.run_sync(
            sys.stdin.readline, abandon_on_cancel=True
        )
        if not line:
            return
        try:
            await run.answer(ask, parse_answer(line.strip(), form))
        except AnswerRejected as error:
            view.notice(f"{error.problem}  [as {example_of(form)}]")
        except UnknownAsk:
            return
        else:
            return
