"""How the actors of a run speak, and the ids that what they say carries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, MutableSet
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from .._plan.plan import Node, Plan
from .._supervision.resource_pool import Resources
from .._util.sync import Bell, Latch
from ..events import EventType, NodeKind
from ..outcomes import PipelineTerminalStatus
from .messages import Message


if TYPE_CHECKING:
    from contextvars import Context


class Inlet(Protocol):
    """Where messages for one step go."""

    def put(self, message: Message) -> None:
        """Hand over a message; never blocks."""
        ...


class Receivers(Protocol):
    """The crew, as actors and activations see it."""

    held: bool
    """Whether a receiver is about to be free: then nobody is summoned."""
    now: Callable[[], float]
    """The loop's clock, in seconds."""

    def call(self, actor: Any) -> None:
        """Put an actor in the line: it has a message, and a slot for it."""
        ...

    def requeue(self, actor: Any) -> None:
        """Put an actor at the end of the line again: it has more."""
        ...

    def employ(self, job: Callable[[], Awaitable[object]]) -> None:
        """Let a receiver do something else than serve actors, to its end."""
        ...

    def dismiss(self) -> None:
        """Send home whoever has nothing to do, now and from now on."""
        ...

    async def serve(self, only: str | None = None) -> None:
        """Perform what is in the line, in this task, of one run only or of all."""


class Performer(Protocol):
    """An actor, as its activations see it."""

    busy: int
    """Slots in use."""

    @property
    def node(self) -> Node:
        """Its step."""
        ...

    @property
    def crew(self) -> Receivers:
        """Who performs its messages."""
        ...

    def give_slot(self) -> None:
        """Give a slot back; whoever waits for one goes on."""
        ...

    async def regain_slot(self) -> None:
        """Have a slot again, before any message does."""


class Conducted(Protocol):
    """A run, as its host sees it."""

    done: Latch

    def stop(self, status: PipelineTerminalStatus, reason: str | None) -> None:
        """End it now; the first reason is the one that counts."""
        ...


class Stage(Protocol):
    """The host, as its runs and actors see it."""

    @property
    def runs(self) -> MutableMapping[str, Any]:
        """The ledgers of the runs it serves, by id."""
        ...

    @property
    def conducting(self) -> MutableSet[Conducted]:
        """The runs it owns, from their first moment to their last."""
        ...

    @property
    def resources(self) -> Resources:
        """What its runs share besides actors."""
        ...

    def now(self) -> float:
        """Return the loop's clock, in seconds."""
        ...

    def is_owner_cancelled(self) -> bool:
        """Tell whether somebody cancelled the owner's task past all scopes."""
        ...

    def outlive_kill(self) -> bool:
        """Tell whether the current task was killed and can go on; forget it if so."""
        ...

    def bury(
        self, ledger: Any, message: Message, reason: str, error: BaseException
    ) -> None:
        """Report a message that nobody will answer."""

    @property
    def crew(self) -> Receivers:
        """Who performs the messages of its actors."""
        ...

    def cast(self, plan: Plan) -> MutableMapping[str, Any]:
        """Return a plan's actors so far, by step."""
        ...

    def actor(self, plan: Plan, step: str) -> Inlet:
        """Return a plan's actor for a step."""
        ...

    def queued(self, ledger: Any) -> dict[str, int]:
        """Return how many messages of a run wait, by step."""
        ...

    def spawn(
        self, func: Callable[..., Coroutine[Any, Any, object]], *args: object
    ) -> None:
        """Start a task that belongs to the host."""
        ...

    def enter(self, ledger: Any) -> None:
        """Serve a run from now on."""
        ...

    def dismiss(self, ledger: Any) -> None:
        """Serve a run no more."""
        ...

    def drop_messages(self, ledger: Any, *, workers_only: bool = False) -> None:
        """Take a run's messages out of all inboxes and give back what they hold."""
        ...


class Invocation(Protocol):
    """An invocation at work, as its run sees it."""

    variables: Context
    is_parked: bool

    @property
    def node(self) -> Node:
        """Its step."""
        ...

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        ...

    def cancel(self) -> None:
        """Interrupt it, if it can be interrupted alone."""
        ...


class Slots(Protocol):
    """A map at work, as its run sees it."""

    bell: Bell

    def item_done(self, *, failed: bool) -> None:
        """Note that an item is finished and its slot is free."""
        ...


@attrs.define(eq=False, repr=False)
class Lineage:
    """The ids an event carries.

    Nobody changes one; it is not frozen because that makes it four times as dear, and
    there is one per invocation.
    """

    invocation: str | None = None
    """``invocation_id``."""
    parent: str | None = None
    """``parent_invocation_id``."""
    owner: str | None = None
    """``owner_invocation_id``."""
    attempt: int = 1
    """``attempt``."""
    scope: tuple[str, ...] = ()
    """``scope``."""


NO_LINEAGE = Lineage()


class Room(Protocol):
    """What producers ask before they say more."""

    @property
    def is_full(self) -> bool:
        """Whether who produces for the user has to wait."""
        ...


class Voice(Protocol):
    """How a run speaks to the outside."""

    @property
    def room(self) -> Room:
        """What says whether producers have to wait, asked most cheaply."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether who produces for the user has to wait."""
        ...

    async def wait_room(self) -> None:
        """Wait until there is room for one more event."""

    def say(
        self,
        type: EventType,  # noqa: A002 - the event's own word
        stage: str,
        payload: object = None,
        kind: NodeKind = NodeKind.SYSTEM,
        lineage: Lineage = NO_LINEAGE,
        meta: dict[str, object] | None = None,
    ) -> dict[str, object]:
        """Publish one event now, room or not; return its fields, for ``say_on``."""
        ...

    def say_on(
        self,
        said: dict[str, object],
        type: EventType,  # noqa: A002 - the event's own word
        stage: str,
        payload: object,
        meta: dict[str, object] | None = None,
    ) -> None:
        """Publish another event of whom one was said before, with the same ids."""

    def teller(
        self,
        type: EventType,  # noqa: A002 - the event's own word
        stage: str,
        lineage: Lineage,
    ) -> Callable[[object], None]:
        """Return what says the same again and again, with another payload each time."""
        ...
