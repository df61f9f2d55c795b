"""How long is waited before another attempt, and before somebody complains."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Literal, assert_never, get_args

import attrs


Restart = Literal["permanent", "transient", "temporary"]
"""Whether a child comes back: always, after a failure, or never."""

Strategy = Literal["one_for_one", "rest_for_one", "one_for_all"]
"""Who is restarted with a child."""

Restarts = tuple[tuple[float, str], ...]
"""Restarts that were decided: when, in the loop's seconds, and of whom; oldest first."""


class ChildPhase(Enum):
    """How a child stands when the decision is taken."""

    RUNNING = "up"
    """It runs, or is just starting."""
    PENDING = "due"
    """It ended and is about to be started again."""
    ENDED = "gone"
    """It ended for good."""


@attrs.frozen
class ChildInfo:
    """A child, as far as the decision must know it."""

    name: str
    """Unique among the children."""
    restart: Restart
    """Whether it comes back."""
    phase: ChildPhase
    """How it stands."""


@attrs.frozen(kw_only=True)
class RestartPolicy:
    """How a supervisor treats children that end."""

    strategy: Strategy = "one_for_one"
    """Who is restarted with a child."""
    intensity: int | None = 3
    """Restarts allowed within the period; one more and the supervisor gives up.  None
    restarts for ever."""
    period: float = 5.0
    """Seconds that the intensity looks back."""
    min_delay: float = 0.1
    """Seconds before the first restart."""
    max_delay: float = 30.0
    """Most seconds before any restart."""

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
        """Most seconds before a restart.

        A crash loop must exceed the intensity, so the waits stay within an equal share
        of the period.  Where that share is less than the first wait, the intensity
        cannot be exceeded, and the waits grow as those of a policy without one.
        """
        if self.intensity is None:
            return self.max_delay
        share = self.period / (self.intensity + 1)
        return self.max_delay if share < self.min_delay else min(self.max_delay, share)


@attrs.frozen
class NoRestart:
    """Nobody is restarted."""


@attrs.frozen
class RestartChildren:
    """Some children are stopped, and some started again."""

    stop: tuple[str, ...]
    """Whom to stop, in this order: the last started first."""
    start: tuple[str, ...]
    """Whom to start then, in this order; the one that ended is among them."""
    restarts: Restarts
    """The restarts that count from now on."""


@attrs.frozen
class GiveUp:
    """Too many restarts: stop everybody and let the owner know."""

    restarts: int
    """How many there would have been within the period."""


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
    """Say what follows from the end of a child.

    Args:
        policy: the supervisor's.
        children: all children in start order, the one that ended included.
        ended: the name of the one that ended by itself.
        normally: whether it returned.
        restarts: those decided so far.
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
    """Tell whether a child that ended is to be started again."""
    match restart:
        case "permanent":
            return True
        case "transient":
            return not normally
        case "temporary":
            return False
    assert_never(restart)


def restarts_within(restarts: Restarts, period: float, now: float) -> Restarts:
    """Return the restarts that still count."""
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
    """A temporary child is not restarted, not even when a neighbour took it down."""
    return child.phase is not ChildPhase.ENDED and child.restart != "temporary"


def backoff(
    failures: int, jitter: float, *, min_delay: float, max_delay: float
) -> float:
    """Return the seconds to wait before another attempt.

    Args:
        failures: failures in a row, this one included; at least 1.
        jitter: a random number from 0 to 1; it takes away up to half of the wait.
        min_delay: the wait after the first failure.
        max_delay: no wait is longer.
    """
    doublings = min(failures - 1, 60)
    return min(max_delay, min_delay * 2.0**doublings) * (1 - jitter / 2)
