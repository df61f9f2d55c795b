"""Who waits for what: the runs alive in this process, in words.

Runs are found among the objects of the garbage collector and not in a list of their own:
a list would cost every run in production something, and this is asked once, at the end.
"""

from __future__ import annotations

import gc
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import anyio

import trio

from .._actors.activation import Activation
from .._run.run import Run


_LIBRARIES = (
    str(Path(sysconfig.get_path("stdlib"), "asyncio")),
    *(
        str(Path(module.__file__ or "").parent)
        for module in (anyio, trio, sys.modules[__name__.partition(".")[0]])
    ),
)
"""Where nobody looks for his own mistakes."""

HEADLINE = "Deadlock: every task waits, and no timer will wake one."


def describe_waiting(now: float) -> str:
    """Return one line per run, and under it who holds it up."""
    lines = [HEADLINE, f"  The loop's clock says {now:g} s."]
    runs = sorted(_live_runs(), key=lambda run: run.order.run_id)
    for run in runs:
        lines += _describe(run)
    if not runs:
        lines.append("  No run of a pipe is alive.")
    return "\n".join(lines)


def _live_runs() -> list[Run]:
    return [it for it in gc.get_objects() if isinstance(it, Run) and it.is_alive]


def _describe(run: Run) -> Iterator[str]:
    ledger = run.ledger
    held = ", ".join(f"{who} x{count}" for who, count in ledger.holders.items())
    yield (
        f"  Run {run.order.run_id[:8]} of pipe '{ledger.plan.name}' "
        f"({run.age:g} s old) is held by: {held or 'nobody'}"
    )
    running = sorted(ledger.activations, key=lambda one: (-one.seconds, one.node.name))
    for invocation in running:
        if isinstance(invocation, Activation):
            yield (
                f"    step '{invocation.node.name}' for {invocation.seconds:g} s, "
                f"{where_it_waits(invocation.coroutine)}"
            )
    for wave in ledger.waves.values():
        for name in wave.waiting():
            gate = wave.doorways[name].gate
            missing = ", ".join(gate.missing()) if gate is not None else ""
            yield f"    join '{name}' waits for: {missing}"


def where_it_waits(coroutine: Any) -> str:
    """Return the innermost line of the user's code that a coroutine waits in."""
    if coroutine is None:
        return "in the engine"  # between two calls of the user's code
    place = "inside a library"
    while coroutine is not None:
        frame = _first(coroutine, "cr_frame", "gi_frame", "ag_frame")
        if frame is not None and not _is_ours(frame.f_code):
            code: CodeType = frame.f_code
            place = f"in {code.co_name}, {code.co_filename}:{frame.f_lineno}"
        coroutine = _first(coroutine, "cr_await", "gi_yieldfrom", "ag_await")
    return place


def _first(thing: object, *names: str) -> Any:
    for name in names:
        value = getattr(thing, name, None)
        if value is not None:
            return value
    return None


def _is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(_LIBRARIES)
