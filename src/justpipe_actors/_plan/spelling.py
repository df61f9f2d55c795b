"""Options of steps that nobody reads and that look like ones that somebody does.

A decorator takes any keyword, because middleware may read it.  So ``time_out=3`` would
bound nothing, in silence.  A middleware can say which options it reads
(``middleware.reads``); where all of them do, a near miss is an error.  Where one does
not, the option may be meant for it, and programs rely on that: then it is a remark.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from .._definition.steps import StepDef
from ..errors import DefinitionError
from ..events import NodeKind


NEAR = 0.8
"""How alike two names must be, from 0 to 1: a letter or two in a word."""

_ALL = {
    "barrier_timeout",
    "barrier_type",
    "breaks",
    "concurrency",
    "name",
    "on_error",
    "placement",
    "retries",
    "routes",
    "timeout",
    "to",
}

_OPTIONS = {
    NodeKind.STEP: _ALL,
    NodeKind.MAP: _ALL | {"each", "max_concurrency"},
    NodeKind.SWITCH: _ALL | {"default"},
    NodeKind.SUB: _ALL | {"pipeline"},
}
"""What the decorators read, by the kind of the step."""


def read_by(middleware: Iterable[Any]) -> frozenset[str] | None:
    """Return the options that middleware reads; None when one of them does not say."""
    found: set[str] = set()
    for one in middleware:
        options: Collection[str] | None = getattr(one, "options", None)
        if options is None:
            return None
        found.update(options)
    return frozenset(found)


def near_misses(
    steps: Iterable[StepDef], readable: frozenset[str]
) -> Iterator[DefinitionError]:
    """Yield a problem for every option that nobody reads and that looks misspelt."""
    for step in steps:
        known = _OPTIONS[step.kind] | readable
        for option in step.options.extra:
            near = [] if option in known else _nearest(option, known)
            if near:
                text = (
                    f"Step '{step.name}' has an option '{option}', which nobody says to read. "
                    f"Did you mean '{near[0]}'? If a middleware reads it, let it say "
                    f"so: decorate it with @reads('{option}')."
                )
                yield DefinitionError(text, step_name=step.name)


def _nearest(option: str, known: Collection[str]) -> list[str]:
    return difflib.get_close_matches(option, sorted(known), n=1, cutoff=NEAR)
