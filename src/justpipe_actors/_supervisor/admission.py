"""Who is in: the runs of one supervisor, from their admission to their last moment.

A run that is begun by code of another run, such as ``pipe.run()`` inside a step, takes no
place of its own: it is part of the one that began it, as a sub-pipeline is.  If it had to
wait in line, a full supervisor whose runs all begin another one would stand still for ever.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Literal

import anyio
import attrs

from .._backends import Loop
from .._engine.actor_system import ActorSystem
from .._engine.user_code import drive_in_context
from .._run.lifecycle import execute_run
from .._run.run import Run, RunRequest
from .._run.run_stream import RunStream
from ..errors import RunRejected
from ..outcomes import PipelineTerminalStatus


DRAINING = RunRejected(
    "the supervisor is draining and takes no new runs",
    "Start it again once the service is back, or send it to another instance.",
)
STARTING = RunRejected(
    "the supervisor is still starting its services",
    "Await submit() to wait until it is open.",
)
CLOSED = RunRejected(
    "the supervisor is closed",
    "Start runs inside its 'async with' block.",
)


DoorState = Literal["starting", "open", "draining", "closed"]


@attrs.define(eq=False, repr=False)
class _Caller:
    """Somebody who asks to be let in."""

    answered: anyio.Event = attrs.field(factory=anyio.Event)
    refusal: RunRejected | None = None


@attrs.frozen
class DoorStatistics:
    """Who is in and who waits."""

    inside: int
    """Places taken."""
    waiting: int
    """Who stands in line."""
    limit: int | None
    """Places there are; None is no limit."""


@attrs.define(eq=False, repr=False)
class Door:
    """The places of one supervisor."""

    limit: int | None = None
    """Places there are; None is no limit."""
    is_held: bool = False
    """Whether whoever comes has to wait until it is opened."""
    _inside: int = attrs.field(default=0, init=False)
    _line: deque[_Caller] = attrs.field(factory=deque, init=False)
    _refusal: RunRejected | None = attrs.field(default=None, init=False)

    @property
    def is_full(self) -> bool:
        """Whether the next one has to wait."""
        return self.is_held or (self.limit is not None and self._inside >= self.limit)

    @property
    def state(self) -> DoorState:
        """Whether anybody is let in, and if not, why."""
        if self._refusal is None:
            return "starting" if self.is_held else "open"
        return "draining" if self._refusal is DRAINING else "closed"

    def enter_nowait(self) -> None:
        """Take a place now.

        Raises:
            RunRejected: there is none, or the door is closed.
        """
        if self._refusal is not None:
            raise _copy(self._refusal)
        if self.is_held:
            raise _copy(STARTING)
        if self.is_full:
            reason = f"{self._inside} of {self.limit} runs are at work"
            remedy = "Await submit() to wait for a place, or raise max_runs."
            raise RunRejected(reason, remedy)
        self._inside += 1

    async def enter(self) -> None:
        """Wait for a place and take it.

        Raises:
            RunRejected: the door is closed, or closes meanwhile.
        """
        caller = _Caller()
        if self._refusal is None and self.is_full:
            self._line.append(caller)
        else:
            self.enter_nowait()
            caller.answered.set()
        try:
            await caller.answered.wait()
        except BaseException:
            self._give_up(caller)
            raise
        if caller.refusal is not None:
            raise caller.refusal

    def leave(self) -> None:
        """Give a place back; whoever waits longest has it now."""
        if self._line:
            self._line.popleft().answered.set()
        else:
            self._inside -= 1

    def open(self) -> None:
        """Let in who stands in line, as far as there are places."""
        self.is_held = False
        while self._line and not self.is_full:
            self._inside += 1
            self._line.popleft().answered.set()

    def close(self, refusal: RunRejected) -> None:
        """Let nobody in any more; who stands in line is turned away."""
        self._refusal = refusal
        while self._line:
            caller = self._line.popleft()
            caller.refusal = _copy(refusal)
            caller.answered.set()

    def statistics(self) -> DoorStatistics:
        """Return who is in and who waits."""
        return DoorStatistics(self._inside, len(self._line), self.limit)

    def _give_up(self, caller: _Caller) -> None:
        if not caller.answered.is_set():
            self._line.remove(caller)
        elif caller.refusal is None:
            self.leave()


def _copy(refusal: RunRejected) -> RunRejected:
    """Return a fresh one: an exception that is raised twice collects tracebacks."""
    return RunRejected(refusal.reason, refusal.remedy)


KNOWN = 128
"""Finished runs that are remembered by the id their client gave them."""

_home: ContextVar[object] = ContextVar("justpipe_actors_home", default=None)


def _nothing() -> None:
    """Give back no place."""


@attrs.define(eq=False, repr=False)
class Roster:
    """The runs of one supervisor; it owns them."""

    system: ActorSystem
    """Where their actors live."""
    door: Door
    """Where they come in."""
    loop: Loop
    """The loop they run in."""
    runs: dict[str, Run] = attrs.field(factory=dict, init=False)
    """Those at work, by id."""
    cut: set[str] = attrs.field(factory=set, init=False)
    """Ids of those that were cancelled since the door is closed."""
    is_ending: bool = attrs.field(default=False, init=False)
    """Whether even runs begun by other runs are refused."""
    _kept: dict[str, RunStream] = attrs.field(factory=dict, init=False)
    _named: set[str] = attrs.field(factory=set, init=False)
    _past: OrderedDict[str, RunStream] = attrs.field(factory=OrderedDict, init=False)
    _quiet: anyio.Event | None = attrs.field(default=None, init=False)

    # -- coming in

    def admit_nowait(self, run_id: str) -> Callable[[], None] | None:
        """Take a place if there is one; None means to wait for one.

        Raises:
            RunRejected: no new runs are taken, or one with this id is at work.
        """
        self._refuse_twin(run_id)
        if _home.get() is self and not self.is_ending:
            return _nothing
        if self.door.state == "open" and self.door.is_full:
            return None
        if self.door.state == "starting":
            return None
        self.door.enter_nowait()
        return self.door.leave

    async def admit(self, run_id: str) -> Callable[[], None]:
        """Wait for a place; the returned function gives it back.

        Raises:
            RunRejected: no new runs are taken, or one with this id is at work.
        """
        if _home.get() is self and not self.is_ending:
            self._refuse_twin(run_id)
            return _nothing
        await self.door.enter()
        try:
            self._refuse_twin(run_id)
        except RunRejected:
            self.door.leave()
            raise
        return self.door.leave

    def begin(self, run: Run, release_place: Callable[[], None]) -> None:
        """Own a run from now on, with the context variables of who began it."""
        self.runs[run.run_state.run_id] = run
        variables = copy_context()
        variables.run(_home.set, self)
        # The run finds itself in a copy: whoever began it keeps its own variables.
        run.on_done = partial(self._let_go, run, release_place)
        try:
            self.system.dispatcher.start_job(
                lambda: drive_in_context(variables, execute_run(run))
            )
        except BaseException:
            self._let_go(run, release_place)
            raise

    def _let_go(self, run: Run, release_place: Callable[[], None]) -> None:
        self._forget(run)
        release_place()

    def _refuse_twin(self, run_id: str) -> None:
        if run_id in self.runs:
            reason = f"a run with the id '{run_id}' is at work"
            raise RunRejected(reason, "Give it an id of its own, or submit() it.")

    def _forget(self, run: Run) -> None:
        run_id = run.run_state.run_id
        del self.runs[run_id]
        stream = self._kept.pop(run_id, None)
        if stream is not None and run_id in self._named:
            self._named.discard(run_id)
            self._past[run_id] = stream
            if len(self._past) > KNOWN:
                self._past.popitem(last=False)
        if self._quiet is not None and not self.runs:
            self._quiet.set()
            self._quiet = None

    # -- runs that are kept

    async def submit(self, request: RunRequest, *, is_named: bool) -> RunStream:
        """Wait for a place and begin a run, or return the one that has its id.

        Raises:
            RunRejected: no new runs are taken, or the id is another pipe's.
        """
        if (twin := self._twin(request)) is not None:
            return twin
        await self.door.enter()
        try:
            twin = self._twin(request)
        except RunRejected:
            self.door.leave()
            raise
        if twin is not None:
            self.door.leave()
            return twin
        return self._keep(request, is_named=is_named)

    def submit_nowait(self, request: RunRequest, *, is_named: bool) -> RunStream:
        """Begin a run if there is a place, or return the one that has its id.

        Raises:
            RunRejected: there is no place, no new runs are taken, or the id is another
                pipe's.
        """
        if (twin := self._twin(request)) is not None:
            return twin
        self.door.enter_nowait()
        return self._keep(request, is_named=is_named)

    def _keep(self, request: RunRequest, *, is_named: bool) -> RunStream:
        stream = RunStream(lambda: request, self)
        stream.begin_submitted(self, self.door.leave)
        self._kept[request.run_id] = stream
        if is_named:
            self._named.add(request.run_id)
        return stream

    def known(self, run_id: str) -> RunStream | None:
        """Return the submitted run with an id, while it is remembered."""
        return self._kept.get(run_id) or self._past.get(run_id)

    def _twin(self, request: RunRequest) -> RunStream | None:
        """Return the run a client began with this id before, while it is remembered."""
        twin = self.known(request.run_id)
        if twin is None:
            self._refuse_twin(request.run_id)
            return None
        if twin.pipe_name != request.plan.name:
            reason = f"the id '{request.run_id}' is a run of pipe '{twin.pipe_name}'"
            raise RunRejected(reason, "Give it an id of its own.")
        return twin

    # -- leaving

    def cancel(self, reason: str) -> None:
        """Cancel every run."""
        if self.door.state != "open":
            self.cut.update(self.runs)
        for run in list(self.runs.values()):
            run.stop(PipelineTerminalStatus.CANCELLED, reason)

    async def wait_quiet(self) -> None:
        """Wait until no run is at work."""
        while self.runs:
            self._quiet = self._quiet or anyio.Event()
            await self._quiet.wait()

    def close(self) -> None:
        """Take nobody any more."""
        self.is_ending = True
        self.door.close(CLOSED)
