"""Functions that tests place in other processes, which import them by name."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio.lowlevel
import attrs

from justpipe_actors import (
    Retry,
    Skip,
    Stop,
    Suspend,
    ask,
    idempotency_key,
    once,
    sleep_until,
)
from justpipe_actors.types import Raise


TENANT: ContextVar[str] = ContextVar("tenant", default="none")


@attrs.define
class Report:
    """A state."""

    words: list[str] = attrs.field(factory=list)
    count: int = 0
    by_name: dict[str, int] = attrs.field(factory=dict)
    folder: str = ""
    pids: list[int] = attrs.field(factory=list)


@attrs.define
class Settings:
    """A context."""

    factor: int = 2
    seen: list[str] = attrs.field(factory=list)


class UnpicklableError(Exception):
    """An error that changes its class when it is pickled."""

    def __init__(self, left: str, right: str) -> None:
        super().__init__(f"{left} and {right}")


def add_word(state: Report) -> None:
    """Change two parts."""
    state.words.append("there")
    state.count += 1


async def add_word_async(state: Report) -> None:
    """Change a part after a wait."""
    await anyio.lowlevel.checkpoint()
    state.words.append("async")


def use_context(state: Report, context: Settings) -> None:
    """Read the context and change it."""
    state.count = 21 * context.factor
    context.seen.append("there")


def note_item(state: Report, item: int) -> None:
    """Note an item under its name."""
    state.by_name[f"item {item}"] = item


def square(item: int) -> int:
    """Return a value without a meaning for the engine."""
    return item * item


def change_and_fail(state: Report) -> None:
    """Change the state, then fail."""
    state.words.append("half")
    message = "no luck"
    raise LookupError(message)


def fail_unpicklable() -> None:
    """Raise an error that cannot be pickled."""
    raise UnpicklableError("left", "right")


def return_lock() -> Any:
    """Return a value that cannot be pickled."""
    return threading.Lock()


def exit_program() -> None:
    """Raise SystemExit."""
    raise SystemExit(3)


def answer_retry(state: Report) -> Any:
    """Return Retry twice."""
    state.count += 1
    return Retry() if state.count < 3 else None


def answer_skip() -> Any:
    """Skip the successors."""
    return Skip()


def answer_stop() -> Any:
    """End the run."""
    return Stop()


def answer_suspend() -> Any:
    """Suspend the run."""
    return Suspend("a person")


def answer_raise() -> Any:
    """Fail by a returned value."""
    return Raise(LookupError("by value"))


def answer_name() -> str:
    """Return the name of another step."""
    return "other"


def choose(state: Report) -> int:
    """Choose a route."""
    return state.count


def list_items() -> list[int]:
    """Return items for a map."""
    return [1, 2, 3]


def read_tenant(state: Report) -> None:
    """Note a context variable."""
    state.words.append(TENANT.get())


def log_something() -> None:
    """Write to the log."""
    logging.getLogger("their.module").warning("seen from %s", "there")
    try:
        raise LookupError("inner")
    except LookupError:
        logging.getLogger("their.module").exception("it failed")


def work_for_ever(state: Report) -> None:
    """Report the process id, and compute for ever without a wait."""
    Path(state.folder, str(os.getpid())).touch()
    while True:
        sum(range(10_000))


def kill_self() -> None:
    """Die as by a crash in a C extension."""
    os.kill(os.getpid(), signal.SIGKILL)


def exit_at_once() -> None:
    """Exit with a code."""
    os._exit(7)


def kill_self_once(state: Report) -> None:
    """Kill the process, unless a file says that it did so before."""
    mark = Path(state.folder, "died")
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    state.count += 1


def note_pid(state: Report) -> None:
    """Note the id of this process."""
    state.pids.append(os.getpid())


def work_a_moment(item: int) -> None:
    """Work for a short time, so that it can be killed meanwhile."""
    end = time.monotonic() + 0.002
    while time.monotonic() < end:
        continue


def append_item(state: Report, item: int) -> None:
    """Append to a list of the state, as other steps do."""
    state.words.append(f"item {item}")


def count_left(state: Report) -> None:
    """Set a number that another step sets, too."""
    time.sleep(0.1)
    state.count = 1


def count_right(state: Report) -> None:
    """Set a number that another step sets, too."""
    time.sleep(0.1)
    state.count = 2


def count_done(state: dict[str, int]) -> None:
    """Add one to a number of the state, as other steps do."""
    state["done"] += 1


def look_at(state: Report, item: int) -> None:
    """Read the whole state and change nothing."""
    assert state.folder
    assert item >= 0


def note_trace(state: Report) -> None:
    """Note the id of the current OpenTelemetry trace."""
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    state.words.append(f"{context.trace_id:x}")


async def ask_there() -> None:
    """Ask where no run is."""
    await ask(bool, "Really?")


async def keep_there() -> None:
    """Use ``once`` where no run is."""
    await once("key", list)


async def sleep_there() -> None:
    """Sleep until a time where no run is."""
    await sleep_until(1.0)


def note_key(state: Report) -> None:
    """Note an idempotency key."""
    state.words.append(idempotency_key("charge"))


def ignore_interrupts(state: Report) -> None:
    """Report the process id, and ignore all interrupts."""
    Path(state.folder, str(os.getpid())).touch()
    while True:
        try:
            time.sleep(0.01)
        except KeyboardInterrupt:
            continue
