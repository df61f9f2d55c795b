"""How a run ended, in words: for the terminal's last line and for standard error. Pure."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence

import attrs

from ..failures import FailureRecord
from ..outcomes import PipelineEndData, PipelineTerminalStatus
from .errors import FAILED, SIGNALLED
from .formatting import counted, format_duration, printable
from .progress import Mark, Progress


SHOWN = 3
"""How many of the further failures are named."""
LINES = 10
"""How many lines of an error's text are shown."""


@attrs.frozen
class Ending:
    """How a run ended and what this program makes of it."""

    end: PipelineEndData
    """FINISH."""
    signum: int | None = None
    """The signal that stopped it."""

    @property
    def status(self) -> int:
        """The exit status."""
        if self.signum is not None:
            return SIGNALLED + self.signum
        return 0 if self.end.status is PipelineTerminalStatus.SUCCESS else FAILED


def headline(ending: Ending, progress: Progress) -> tuple[Mark, str]:
    """Return the one line that says how it ended."""
    end = ending.end
    took = format_duration(end.duration_s)
    match end.status:
        case PipelineTerminalStatus.SUCCESS if end.metrics and end.metrics.suspends:
            reason = printable(progress.suspended)
            return Mark.CUT_OFF, f"suspended after {took}: {reason}"
        case PipelineTerminalStatus.SUCCESS:
            return Mark.DONE, f"success in {took}, {_figures(progress)}"
        case PipelineTerminalStatus.FAILED:
            where = f" in step {printable(end.failed_step)}" if end.failed_step else ""
            return (
                Mark.FAILED,
                f"failed after {took}{where}: {_cause(end, progress)[0]}",
            )
        case PipelineTerminalStatus.TIMEOUT:
            return Mark.FAILED, f"timed out after {took}"
        case PipelineTerminalStatus.CANCELLED | PipelineTerminalStatus.CLIENT_CLOSED:
            return Mark.CUT_OFF, f"cancelled after {took}: {printable(end.error)}"


def _figures(progress: Progress) -> str:
    done = sum(row.done for row in progress.rows.values())
    text = counted(done, "invocation")
    if progress.tokens:
        text += f", {counted(progress.tokens, 'token')}"
    return text


def _cause(end: PipelineEndData, progress: Progress) -> list[str]:
    """Return the primary failure line by line, and where it was raised."""
    first = [t for t in progress.troubles if t.step == end.failed_step]
    text = first[0].error if first else str(end.error)
    place = [f"at {first[0].place}"] if first and first[0].place else []
    return [printable(line) for line in (text.splitlines() or [""])[:LINES] + place]


def details(ending: Ending, progress: Progress) -> Iterator[str]:
    """Yield what else is to be said, a line each."""
    end = ending.end
    if ending.signum is not None:
        cut_off = [r.name for r in progress.rows.values() if r.running]
        at_work = f"cut off: {', '.join(map(printable, cut_off))}; " if cut_off else ""
        yield f"{at_work}nothing of the run is left behind"
    if end.status is PipelineTerminalStatus.FAILED:
        yield from _cause(end, progress)[1:]
        yield from _others(end.errors[1:])
    yield from (printable(one.message) for one in end.diagnostics)


def _others(errors: Sequence[FailureRecord]) -> Iterator[str]:
    for one in errors[:SHOWN]:
        text = (one.error or "").partition("\n")[0]
        yield f"also in {printable(one.step or one.kind.value)}: {printable(text)}"
    if len(errors) > SHOWN:
        yield f"and {counted(len(errors) - SHOWN, 'more failure')}"


def reason_of(signum: int) -> str:
    """Say what stopped the run."""
    return (
        "interrupted with Ctrl-C" if signum == signal.SIGINT else "asked to terminate"
    )
