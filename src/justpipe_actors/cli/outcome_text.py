"""Text about the end of a run, for the terminal and for standard error.  Pure."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence

import attrs

from ..failures import FailureRecord
from ..outcomes import PipelineEndData, PipelineTerminalStatus
from .errors import EXIT_FAILED, EXIT_SIGNAL_BASE
from .formatting import count_text, format_duration, printable
from .progress import Mark, Progress


MAX_FAILURES_SHOWN = 3
"""Number of further failures that are named."""
MAX_STEPS_SHOWN = 5
"""Number of the steps at work that are named."""
MAX_ERROR_LINES = 10
"""Number of lines of an error's text that are shown."""


@attrs.frozen
class Outcome:
    """How a run ended, and the exit status for that."""

    end: PipelineEndData
    """The payload of FINISH."""
    signum: int | None = None
    """The signal that stopped it."""

    @property
    def status(self) -> int:
        """The exit status."""
        if self.signum is not None:
            return EXIT_SIGNAL_BASE + self.signum
        return 0 if self.end.status is PipelineTerminalStatus.SUCCESS else EXIT_FAILED


def headline(outcome: Outcome, progress: Progress) -> tuple[Mark, str]:
    """Return the one line that says how it ended."""
    end = outcome.end
    duration = format_duration(end.duration_s)
    match end.status:
        case PipelineTerminalStatus.SUCCESS if end.metrics and end.metrics.suspends:
            reason = printable(progress.suspended)
            return Mark.CUT_OFF, f"suspended after {duration}: {reason}"
        case PipelineTerminalStatus.SUCCESS:
            return Mark.DONE, f"success in {duration}, {_totals_text(progress)}"
        case PipelineTerminalStatus.FAILED:
            where = f" in step {printable(end.failed_step)}" if end.failed_step else ""
            return (
                Mark.FAILED,
                f"failed after {duration}{where}: {_error_lines(end, progress)[0]}",
            )
        case PipelineTerminalStatus.TIMEOUT:
            return Mark.FAILED, f"timed out after {duration}{at_work_text(end)}"
        case PipelineTerminalStatus.CANCELLED | PipelineTerminalStatus.CLIENT_CLOSED:
            return Mark.CUT_OFF, f"cancelled after {duration}: {printable(end.error)}"


def at_work_text(end: PipelineEndData) -> str:
    """Say which steps were at work when the run was ended, if any."""
    names = ", ".join(map(printable, end.steps_at_work[:MAX_STEPS_SHOWN]))
    more = len(end.steps_at_work) - MAX_STEPS_SHOWN
    if not names:
        return ""
    return f", at work: {names}" + (f" and {more:,} more" if more > 0 else "")


def _totals_text(progress: Progress) -> str:
    done = sum(row.done for row in progress.rows.values())
    text = count_text(done, "invocation")
    if progress.tokens:
        text += f", {count_text(progress.tokens, 'token')}"
    return text


def _error_lines(end: PipelineEndData, progress: Progress) -> list[str]:
    """Return the primary failure line by line, and where it was raised."""
    first = [t for t in progress.failures if t.step == end.failed_step]
    is_complete = bool(first) and not end.error_leaves
    text = first[0].error if is_complete else str(end.error_text)
    item = [first[0].item_text] if first and first[0].item_text else []
    location = [f"at {first[0].location}"] if first and first[0].location else []
    return [
        printable(line)
        for line in (text.splitlines() or [""])[:MAX_ERROR_LINES] + item + location
    ]


def details(outcome: Outcome, progress: Progress) -> Iterator[str]:
    """Yield the details after the headline, one line each."""
    end = outcome.end
    if outcome.signum is not None:
        cut_off = [r.name for r in progress.rows.values() if r.running]
        cut_off_text = (
            f"cut off: {', '.join(map(printable, cut_off))}; " if cut_off else ""
        )
        yield f"{cut_off_text}nothing of the run is left behind"
    if end.status is PipelineTerminalStatus.FAILED:
        yield from _error_lines(end, progress)[1:]
        yield from _other_failures(end.errors, progress)
    yield from (printable(diagnostic.message) for diagnostic in end.diagnostics)


def _other_failures(
    errors: Sequence[FailureRecord], progress: Progress
) -> Iterator[str]:
    """Name the failures after the first one."""
    known = [(t.step, t.error, t.label) for t in progress.failures]
    for number, failure in enumerate(errors[: MAX_FAILURES_SHOWN + 1]):
        text, place = failure.error or "", failure.step or failure.kind.value
        same = [t for t in known if t[0] == place and t[1].endswith(text)][:1]
        item = ""
        for found in same:  # events name the item of a map's worker
            known.remove(found)
            item = f" ({found[2]})" if found[2] != place else ""
        if number:
            first_line = text.partition("\n")[0]
            yield f"also in {printable(place)}: {printable(first_line)}{printable(item)}"
    if len(errors) > MAX_FAILURES_SHOWN + 1:
        more = len(errors) - MAX_FAILURES_SHOWN - 1
        yield f"and {count_text(more, 'more failure')}"


def stop_reason(signum: int) -> str:
    """Return the reason why the run was stopped."""
    return (
        "interrupted with Ctrl-C" if signum == signal.SIGINT else "asked to terminate"
    )
