"""Which run and which step a log record comes from, on every record of the program.

A step's code logs with whatever logger it likes; who reads the log wants to know for
whom it ran.  The run and the invocation are known by context variables, in threads of
``placement="thread"`` and in tasks that a step starts too.
"""

from __future__ import annotations

import logging

from ..meta import current_run_notes, current_step_notes


FIELDS = ("run", "pipe", "step", "invocation", "attempt")
"""What a record is given, in the words that every record of this library has."""

_OF_STEP = ("stage", "invocation_id", "attempt")
"""What the last three are called in events."""


class RunFields(logging.Filter):
    """Give every log record the fields run, pipe, step, invocation and attempt.

    A filter of a *handler* sees all records that the handler writes, whoever logged
    them; one of a logger sees only what is logged with that very logger::

        handler.addFilter(RunFields())
        handler.setFormatter(logging.Formatter("%(run)s %(step)s %(message)s"))

    It lets every record through, and leaves a field alone that a record brings along.

    Args:
        empty: what a field has outside of runs, or in a hook, which is no step's.
    """

    def __init__(self, empty: object = "-") -> None:
        super().__init__()
        self.empty = empty

    def filter(self, record: logging.LogRecord) -> bool:
        """Fill the fields in."""
        run, step = current_run_notes.get(None), current_step_notes.get(None)
        nobody = (self.empty,) * len(FIELDS)
        of_run = (run and run.about) or nobody[:2]
        of_step = nobody[2:]
        if step is not None and step.said is not None:
            of_step = tuple(step.said[name] for name in _OF_STEP)
        fields = vars(record)
        for name, value in zip(FIELDS, (*of_run, *of_step), strict=True):
            fields.setdefault(name, value)
        return True
