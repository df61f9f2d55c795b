"""Restart decisions and backoff: pure functions without tasks or clocks.

The caller passes the facts (children, past restarts, the time) and carries the decision
out (``children.py``), so every decision can be tested as a table.  Strategies, restart
types and intensity have the meaning that they have in OTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Literal, assert_never, get_args

from .._util.lazy_classes import frozen


Restart = Literal["permanent", "transient", "temporary"]
"""When an ended child is restarted: always, after a failure, or never."""

Strategy = Literal["one_for_one", "rest_for_one", "one_for_all"]
"""Which children are restarted with an ended child."""

Restarts = tuple[tuple[float, str], ...]
"""Decided restarts, oldest first: time in the loop's seconds, and the child's name."""


class ChildPhase(Enum):
    """State of a child when the decision is taken."""

    RUNNING = "up"
    """It runs, or is just starting."""
    PENDING = "due"
    """It ended and is about to be started again."""
    ENDED = "gone"
    """It ended for good."""


@frozen
class ChildInfo:
    """The facts about a child that the decision depends on."""

    name: str
    """Unique among the children."""
    restart: Restart
    """When it is restarted."""
    phase: ChildPhase
    """Its state when the decision is taken."""


@frozen(kw_only=True)
class RestartPolicy:
    """How a supervisor treats children that end."""

    strategy: Strategy = "one_for_one"
    """Which children are restarted with an ended child."""
    intensity: int | None = 3
    """Restarts allowed within the period; one more and the supervisor gives up.  None
    restarts for ever."""
    period: float = 5.0
    """Seconds that the intensity looks back."""
    min_delay: float = 0.1
    """Seconds before the first restart."""
    max_delay: float = 30.0
    """Maximum seconds before any restart."""

    def __attrs_post_init__(self) -> None:
        if self.strategy not in get_args(Strategy):
            msg = (
                f"strategy must be one of {get_args(Strategy)}, not {self.strategy!r}."
            )
            raise ValueError(msg)
        if (self.intensity or 0) < 0 or self.period <= 0:
            msg = (
                "intensity must be at least 0 and period more than 0 seconds, "
                f"not {self.intensity} and {self.period:g}; None restarts for ever."
            )
            raise ValueError(msg)

    @property
    def delay_limit(self) -> float:
        """Maximum seconds before a restart.

        A crash loop must exceed the intensity, so the waits stay within an equal share
        of the period.  Where that share is less than the first wait, the intensity
        cannot be exceeded, and the waits grow as those of a policy without one.
        """
        if self.intensity is None:
            return self.max_delay
        share = self.period / (self.intensity + 1)
        return self.max_delay if share < self.min_delay else min(self.max_delay, share)


@frozen
class NoRestart:
    """No child is restarted."""


@frozen
class RestartChildren:
    """Some children are stopped, and some started again."""

    stop: tuple[str, ...]
    """Names of the children to stop, in this order: the last started first."""
    start: tuple[str, ...]
    """Names of the children to start then, in order; includes the one that ended."""
    restarts: Restarts
    """The restarts that count from now on."""


@frozen
class GiveUp:
    """Too many restarts: stop all children and report to the owner."""

    restarts: int
    """Restarts within the period, including the one that was refused."""


RestartDecision = NoRestart | RestartChildren | GiveUp


def decide_restart(
    policy: RestartPolicy,
    children: Sequence[ChildInfo],
    ended: str,
    *,
    normally: bool,
    restarts: Restarts,
    now: float,
) -> RestartDecision:
    """Decide what follows from the end of a child.

    Args:
        policy: the supervisor's restart policy.
        children: all children in start order, the one that ended included.
        ended: the name of the one that ended by itself.
        normally: whether it returned instead of raising.
        restarts: the restarts decided so far.
        now: the loop's clock, in seconds.
    """
    index = next(i for i, child in enumerate(children) if child.name == ended)
    if not is_restarted(children[index].restart, normally=normally):
        return NoRestart()
    counted = (*restarts_within(restarts, policy.period, now), (now, ended))
    if policy.intensity is not None and len(counted) > policy.intensity:
        return GiveUp(len(counted))
    group = _affected_siblings(policy.strategy, children, index)
    return RestartChildren(
        stop=tuple(
            child.name for child in reversed(group) if child.phase is ChildPhase.RUNNING
        ),
        start=tuple(
            child.name
            for child in children
            if child.name == ended
            or (child in group and _restarts_with_siblings(child))
        ),
        restarts=counted,
    )


def is_restarted(restart: Restart, *, normally: bool) -> bool:
    """Tell whether a child that ended must be started again."""
    match restart:
        case "permanent":
            return True
        case "transient":
            return not normally
        case "temporary":
            return False
    assert_never(restart)


def restarts_within(restarts: Restarts, period: float, now: float) -> Restarts:
    """Return the restarts within the last ``period`` seconds."""
    return tuple((when, name) for when, name in restarts if now - when <= period)


def _affected_siblings(
    strategy: Strategy, children: Sequence[ChildInfo], index: int
) -> list[ChildInfo]:
    match strategy:
        case "one_for_one":
            return []
        case "rest_for_one":
            return list(children[index + 1 :])
        case "one_for_all":
            return [*children[:index], *children[index + 1 :]]
    assert_never(strategy)


def _restarts_with_siblings(child: ChildInfo) -> bool:
    """Tell whether a child is restarted with a sibling; a temporary child never is."""
    return child.phase is not ChildPhase.ENDED and child.restart != "temporary"


def backoff(
    failures: int, jitter: float, *, min_delay: float, max_delay: float
) -> float:
    """Return the seconds to wait before another attempt.

    Args:
        failures: failures in a row, this one included; at least 1.
        jitter: a random number from 0 to 1; it takes away up to half of the wait.
        min_delay: the wait after the first failure, in seconds.
        max_delay: the longest wait, in seconds.
    """
    doublings = min(failures - 1, 60)
    return min(max_delay, min_delay * 2.0**doublings) * (1 - jitter / 2)
