"""Whether this version of a pipe can continue a run that another version has begun.

Nothing is replayed, so a version fits when it has each step that something waits for, in
the run and in its child runs, and can read the stored values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from .._engine.restore import SavedRun
from .._engine.value_codec import StorableValues
from .._plan.plan import Plan
from .._util.stored_state import state_of
from ..errors import DefinitionError, NotStorable, UnreadableDataError
from .plan_version import child_plan, version_of


FindPipe = Callable[[str], Any]
"""Returns the pipe of a name.

Raises:
    DefinitionError: there is none.
"""

REMEDY = (
    "Deploy a version that fits and redrive the run, fork it at an earlier commit, "
    "or cancel it."
)
STATE_REMEDY = (
    "Give the pipe a migrate= function that turns the stored state into the new form, "
    "and redrive the run."
)


def migrated(plan: Plan, value: Any, version: str | None) -> Any:
    """Return a stored state in the form of this version.

    Args:
        plan: this version of the pipe.
        value: the state as stored.
        version: the version that has stored it; None if it is not known.
    """
    if plan.migrate is None or version is None or version == version_of(plan):
        return value
    return plan.migrate(value, version)


def misfit_of(
    plan: Plan, saved: SavedRun, values: StorableValues, find_pipe: FindPipe
) -> str | None:
    """Return why a version of a pipe cannot continue a run; None if it can."""
    missing = _missing_steps(plan, saved)
    if missing:
        return f"pipe '{plan.name}' has changed: {', and '.join(missing)}. {REMEDY}"
    problem = _unreadable(plan, saved, values)
    if problem is not None:
        return f"pipe '{plan.name}' has changed: {problem}. {REMEDY}"
    for number, child in saved.children.items():
        if "end" in child or number not in saved.messages:
            continue
        step = saved.messages[number]["s"]
        inner = saved.inner.get(number, SavedRun())
        found = _misfit_of_child(plan, step, child, inner, values, find_pipe)
        if found is not None:
            return f"step '{step}' runs a pipe that does not fit: {found}"
    return None


def _misfit_of_child(
    plan: Plan,
    step: str,
    child: dict[str, Any],
    inner: SavedRun,
    values: StorableValues,
    find_pipe: FindPipe,
) -> str | None:
    inner_plan = child_plan(plan.nodes.get(step))
    if inner_plan is None:
        try:
            inner_plan = find_pipe(child["pipe"]).plan()
        except DefinitionError as error:
            return str(error)
    if inner.parts:
        state = state_of(inner.parts)
        problem = state_misfit(inner_plan, state, inner.counters.get("v"), values)
        if problem is not None:
            return problem
    return misfit_of(inner_plan, inner, values, find_pipe)


def state_misfit(
    plan: Plan, value: Any, version: str | None, values: StorableValues
) -> str | None:
    """Return why a stored state cannot be read by this version; None if it can."""
    try:
        state = values.load_state(plan, migrated(plan, value, version))
        values.dump_state(plan, state)  # reading does not check each class
    except UnreadableDataError as error:
        return _state_text(plan, error.problem)
    except NotStorable as error:
        return _state_text(plan, f"{error.path} is a {error.type}, {error.reason}")
    except Exception as error:  # noqa: BLE001 - ``migrate`` may raise anything
        return f"migrate= of pipe '{plan.name}' raised {type(error).__name__}: {error}"
    return None


def _state_text(plan: Plan, problem: str) -> str:
    return f"the state of pipe '{plan.name}' has changed: {problem}. {STATE_REMEDY}"


def _missing_steps(plan: Plan, saved: SavedRun) -> list[str]:
    """Return which steps are gone, and what waits for them."""
    waiting = Counter(_awaited(saved))
    return [
        f"step '{step}' is gone, and {count} {what}{'s' if count > 1 else ''} "
        f"wait{'' if count > 1 else 's'} for it"
        for (step, what), count in waiting.items()
        if step not in plan.nodes
    ]


def _awaited(saved: SavedRun) -> Iterator[tuple[str, str]]:
    """Yield each step that something waits for, and what that is."""
    for message in (*saved.messages.values(), *saved.expiries.values()):
        yield message["s"], "message"
    for number, mapping in saved.maps.items():
        if number in saved.messages:
            yield mapping["w"], "map"
    for _, join in saved.timers:
        yield join, "timer"
    for wait in saved.waits.values():
        question, place = wait.get("q", {}), wait.get("p", {})
        steps = (place.get("step"), question.get("to"), question.get("on"))
        yield from ((step, "question") for step in steps if step is not None)


def _unreadable(plan: Plan, saved: SavedRun, values: StorableValues) -> str | None:
    """Return which stored item this version cannot read."""
    for message in saved.messages.values():
        step = message["s"]
        try:
            for item in _items_of(saved, message):
                values.load_item(plan, step, item)
        except UnreadableDataError as error:
            return f"a stored item does not fit step '{step}': {error.problem}"
    return None


def _items_of(saved: SavedRun, message: dict[str, Any]) -> Iterator[Any]:
    if "v" in message:
        yield message["v"][0]
    elif "i" in message:
        mapping = saved.maps[message["f"]]
        if "i" in mapping:
            yield saved.items[mapping["i"]][message["i"]]
