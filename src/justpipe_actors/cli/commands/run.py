"""``run``: load a pipe, build its state, run it, show it."""

from __future__ import annotations

import sys
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import click

from ..._run.run import new_run_id
from ..._run.run_stream import RunStream
from ..._supervisor.catalog import DEFAULT_NAME
from ...codec import to_text
from ...errors import InvalidRunId, NotStorable
from ...outcomes import PipelineEndData
from ...pipe import Pipe
from ...storage.paths import storage_root_at
from ..durable_runner import DurableRun, run_durably
from ..errors import InvalidInput
from ..journal_options import journal_option
from ..json_input import build_default, build_value, read_json, with_settings
from ..loading import load_pipe
from ..options import FiniteRange, ViewOptions, choose_style, style_options, view_for
from ..progress import outline
from ..runner import run_in_loop, run_under_view, storage_hint
from ..views import Style, View


@attrs.frozen(kw_only=True)
class RunOptions:
    """What ``run`` was asked."""

    target: str
    """The pipe, as ``module:name`` or ``path.py:name``."""
    state: str | None
    """The state as JSON."""
    settings: tuple[str, ...]
    """Fields of the state, as ``key=value``."""
    context: str | None
    """The context as JSON."""
    backend: str
    """Name of the event loop."""
    timeout: float | None
    """Seconds that the run may take; None is no limit."""
    start: str | None
    """The step to begin with."""
    persist: bool
    """Whether to store the run even if its pipe does not."""
    storage: str | None
    """Storage root for the run."""
    style: Style | None
    """How to show progress; None chooses by the kind of output."""
    has_state: bool
    """Whether to print the final state."""
    durable: bool
    """Whether to keep the run in a journal, so that it survives a crash."""
    run_id: str | None
    """Id of a durable run."""
    journal: str
    """Path of the journal of a durable run."""
    show_traceback: bool
    """Whether to print the tracebacks of failures."""


def run_command(options: RunOptions) -> int:
    """Run a pipe and return the exit status.

    Raises:
        InvalidInput: something about the input is wrong.
    """
    pipe = load_pipe(options.target)
    state = _build_state(pipe.state_type, options)
    context = _build_option(pipe.context_type, options.context, "--context")
    style = choose_style(options.style)
    view_options = ViewOptions(
        title=f"{pipe.name} on {options.backend}",
        progress=outline(pipe.describe()),
        has_state=options.has_state,
    )
    view = view_for(style, view_options)

    if options.durable:
        return _run_durably(pipe, state, context, options, view)
    is_recorded = pipe.persist or options.persist or options.storage is not None
    recorded = pipe.with_registry(pipe.registry, persist=is_recorded)

    def open_run() -> RunStream:
        # A subclass may have made an async generator of it, which cannot be cancelled.
        return Pipe.run(
            recorded, state, context, start=options.start, timeout=options.timeout
        )

    with storage_root_at(options.storage):
        outcome = run_in_loop(open_run, view, options.backend)
    if isinstance(outcome, int):
        return outcome
    view.show_outcome(outcome)
    if options.show_traceback:
        _write_tracebacks(outcome.end)
    if options.has_state and style != "json":
        sys.stdout.write(f"{to_text(state)}\n")
    if is_recorded and style != "json":
        sys.stderr.write(
            f"{storage_hint(view_options.progress.run_id, options.storage)}\n"
        )
    return outcome.status


def _run_durably(
    pipe: Pipe[Any, Any], state: Any, context: Any, options: RunOptions, view: View
) -> int:
    """Run with a journal and return the exit status."""
    order = DurableRun(
        pipe=named(pipe, options.target),
        state=state,
        context=context,
        journal=options.journal,
        run_id=options.run_id or new_run_id(),
        start=options.start,
        timeout=options.timeout,
    )
    main = partial(run_durably, order, view)
    try:
        outcome = run_under_view(main, view, options.backend)
    except (InvalidRunId, NotStorable) as error:
        raise InvalidInput(str(error)) from error
    if isinstance(outcome, int):
        return outcome
    view.show_outcome(outcome)
    if options.show_traceback:
        _write_tracebacks(outcome.end)
    return outcome.status


def named(pipe: Pipe[Any, Any], target: str) -> Pipe[Any, Any]:
    """Return a pipe with a name of its own: a durable one is found by it."""
    if pipe.name != DEFAULT_NAME:
        return pipe
    location, _, name = target.rpartition(":")
    return pipe.renamed(f"{Path(location or target).stem}:{name or 'pipe'}")


def _build_state(state_type: Any, options: RunOptions) -> Any:
    if not options.settings:
        return _build_option(state_type, options.state, "--state")
    given = None if options.state is None else read_json(options.state, "--state")
    return build_value(state_type, with_settings(given, options.settings, state_type))


def _write_tracebacks(end: PipelineEndData) -> None:
    for error in end.exceptions:
        sys.stderr.writelines(traceback.format_exception(error))


def _build_option(wanted: Any, text: str | None, option: str) -> Any:
    if text is None:
        return build_default(wanted, option)
    return build_value(wanted, read_json(text, option))


@click.command("run")
@click.argument("target", metavar="PIPE")
@click.option(
    "--state", metavar="JSON", help="The state; @FILE reads a file, - standard input."
)
@click.option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    help="A field of the state, JSON or text; may be given several times.",
)
@click.option("--context", metavar="JSON", help="The context, likewise.")
@click.option(
    "--backend",
    type=click.Choice(["asyncio", "trio"]),
    default="asyncio",
    show_default=True,
    help="The event loop to run in.",
)
@click.option(
    "--timeout",
    type=FiniteRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop the run after this time.",
)
@click.option(
    "--start", metavar="STEP", help="Begin with this step instead of at the roots."
)
@click.option(
    "--persist", is_flag=True, help="Store the run, as Pipe(persist=True) does."
)
@click.option(
    "--storage",
    metavar="PATH",
    help="Store the run below this directory; implies --persist.",
)
@click.option(
    "--durable",
    is_flag=True,
    help="Keep the run in a journal: if it is killed, the same command continues it.",
)
@click.option("--run-id", metavar="ID", help="The durable run's id.")
@journal_option
@click.option("--with-state", "has_state", is_flag=True, help="Show the state, too.")
@click.option(
    "--traceback",
    "show_traceback",
    is_flag=True,
    help="Show the tracebacks of failures.",
)
@style_options
def command(**options: Any) -> int:
    """Run a pipe and show its progress.

    PIPE is path/to/file.py:pipe or package.module:pipe; the part after the colon may be
    left out where there is only one.

    On a terminal every step has a line and every map a bar, and what the run streams
    goes above them.  Elsewhere every event is a line of JSON.  Ctrl-C asks the run to
    end and waits for its cleanup; a durable run is only released.
    """
    return run_command(RunOptions(**options))
