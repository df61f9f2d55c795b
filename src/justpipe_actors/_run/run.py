"""One run, first event to last.

::

    observers hear the start -> startup hooks -> START
      -> [ actors work; ends when the run holds no token ]
      -> TIMEOUT? -> shutdown hooks -> observers drained -> FINISH

``conduct`` raises nothing but its owner's cancellation.  Whatever goes wrong is data: it
is in FINISH, or raised at the consumer after FINISH.  The part in brackets can be
interrupted; what comes after it is shielded, because hooks must run after the steps'
own cleanup whatever happened.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from dataclasses import replace
from functools import partial
from inspect import isawaitable
from math import inf
from typing import Any

import anyio
import attrs
from anyio.abc import TaskGroup
from trio.lowlevel import enable_ki_protection

from .. import seams
from .._actors import flow
from .._actors.bell import Latch
from .._actors.blame import blamed
from .._actors.breaking import OWNER_CANCELLED, TASK_CANCELLED
from .._actors.calling import call, settle_value
from .._actors.host import Host
from .._actors.ledger import Ledger
from .._actors.parts import Stage
from .._actors.resources import Resources
from .._failure.journal import Ending, Trouble
from .._failure.texts import text_of
from .._plan.equipping import current_lender
from .._plan.nodes import Callback, CallValues
from ..errors import EmptyPipelineError, HookTimeoutError, ResourceUnavailable
from ..events import Event, EventType
from ..failures import FailureClassificationConfig, FailureKind, FailureReason
from ..meta import RunNotes, current_run_notes
from ..outcomes import PipelineEndData, PipelineTerminalStatus
from ..seams import Seam
from .ending import Figures, conclude
from .grace import GRACE, PATIENCE, Grace
from .hosting import Group, Loop
from .order import Order
from .voice import RunVoice


WANTED_OVER = (
    PipelineTerminalStatus.CLIENT_CLOSED,
    PipelineTerminalStatus.CANCELLED,
)
"""Endings that somebody asked for: from then on there is a limit to cleaning up."""

_logger = logging.getLogger("justpipe_actors")

inside_runs: ContextVar[tuple[str, ...]] = ContextVar(
    "justpipe_actors_inside_runs", default=()
)
"""The runs on whose behalf code is running, parents included."""


def _nothing() -> None:
    """Do nothing: the run's own task will notice."""


@attrs.define(eq=False)
class Run:
    """One run."""

    order: Order
    """What was asked for."""
    loop: Loop
    """Where it runs."""
    voice: RunVoice
    """How it speaks."""
    ledger: Ledger
    """What its actors know."""
    notes: RunNotes
    """``meta.run``."""
    host: Stage | None = None
    """Whose actors it uses; None opens a host of its own."""
    done: Latch = attrs.field(factory=Latch, init=False)
    """Set when nothing of it is left."""
    on_over: Callable[[], None] | None = attrs.field(default=None, init=False)
    """Called when nothing of it is left: its owner forgets it."""
    end: PipelineEndData | None = attrs.field(default=None, init=False)
    """How it ended."""
    is_orphan: bool = attrs.field(default=False, init=False)
    """Whether its consumer has dropped it."""
    _resources: Resources | None = attrs.field(default=None, init=False)
    _scope: anyio.CancelScope | None = attrs.field(default=None, init=False)
    _grace: Grace | None = attrs.field(default=None, init=False)
    _in_reach: TaskGroup | None = attrs.field(default=None, init=False)
    _began: float | None = attrs.field(default=None, init=False)
    _is_wanted_over: bool = attrs.field(default=False, init=False)
    _is_working: bool = attrs.field(default=False, init=False)
    _stand_in: anyio.CancelScope | None = attrs.field(default=None, init=False)

    # -- from outside

    def stop(self, status: PipelineTerminalStatus, reason: str | None) -> None:
        """End it now; the first reason is the one that counts."""
        if self.done.is_set():
            return
        if self.ledger.ending is None and self.end is None:
            self.ledger.ending = Ending(status, reason)
        if status in WANTED_OVER:
            self._is_wanted_over = True
            if self._grace is not None:
                self._grace.ask()
        if not self._is_working:
            if self._scope is not None:
                self._scope.cancel()
            return
        self.ledger.interrupt(status, reason)

    def break_off(self, error: BaseException) -> None:
        """End it now because of something that is to be raised at the consumer."""
        self._crash(error)
        self.stop(PipelineTerminalStatus.FAILED, None)

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return 0.0 if self._began is None else self.loop.now() - self._began

    @property
    def is_alive(self) -> bool:
        """Whether it has begun and is not over."""
        return self._began is not None and not self.done.is_set()

    # -- its life

    @enable_ki_protection
    async def conduct(self) -> None:
        """Live from the first event to the last."""
        self._began = self.loop.now()
        current_run_notes.set(self.notes)
        inside_runs.set((self.order.run_id, *inside_runs.get()))
        if self.host is not None:
            self.host.conducting.add(self)
        try:
            if self.host is None or self.voice.audience.listeners:
                async with self.loop.open_group() as tasks:
                    await self._live_with_resources(tasks)
            else:
                current_lender.set(self.host.resources)
                await self._live(None)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: BLE001 - raised at the consumer
            self._crash(error)
        finally:
            self.voice.sink.end()
            if self.host is not None:
                self.host.conducting.discard(self)
            self.done.set()
            self.voice.forget_run()
            on_over, self.on_over = self.on_over, None
            if on_over is not None:
                on_over()
            if self.is_orphan:
                self.raise_unseen()

    def raise_unseen(self) -> None:
        """Let the program have what no consumer will: an interrupt, or a log record."""
        error, self.ledger.aborted = self.ledger.aborted, None
        if isinstance(error, KeyboardInterrupt | SystemExit):
            self.loop.interrupt(error)
        elif error is not None:
            _logger.error(
                "A run nobody reads has failed",
                exc_info=error,
                extra={"run": self.ledger.run_id},
            )

    async def _live_with_resources(self, listeners: Group) -> None:
        """Live with the host's resources, else with some of its own that end with it."""
        if self.host is not None:
            current_lender.set(self.host.resources)
            await self._live(listeners)
            return
        variables = copy_context()

        def spawn(func: Callable[..., Coroutine[Any, Any, object]], *args: Any) -> None:
            # Not with the variables of whichever step happens to ask first.
            variables.copy().run(listeners.start, func, *args)

        own = self._resources = Resources(spawn, self.loop.now)
        current_lender.set(own)
        try:
            await self._live(listeners)
        finally:
            if own.refuse():
                with anyio.CancelScope(shield=True):  # it says who is slow
                    await own.aclose()

    async def _live(self, tasks: Group | None) -> None:
        try:
            if await self._begin(tasks):
                await self._work(self.host or self._open_host(tasks))
        except anyio.get_cancelled_exc_class():
            self.stop(PipelineTerminalStatus.CANCELLED, OWNER_CANCELLED)
            await self._wind_up()  # noqa: ASYNC102 - shielded where it waits
            raise
        except BaseException as error:  # noqa: BLE001 - raised at the consumer
            self._crash(error)
        await self._wind_up()

    async def _begin(self, tasks: Group | None) -> bool:
        """Come as far as START; tell whether there is work to do then."""
        plan, ledger = self.order.plan, self.ledger
        if plan.startup or plan.eager or self.voice.audience.is_patient:
            with anyio.CancelScope() as self._scope:
                await self._prepare(tasks)
        elif tasks is not None:
            self.voice.audience.start(tasks)
        if ledger.ending is not None or ledger.journal:
            return False
        if not plan.nodes and self.order.start is None:
            self._nothing_to_do()
            return False
        self.voice.say(EventType.START, "system", self.order.state)
        return ledger.ending is None

    async def _prepare(self, tasks: Group | None) -> None:
        if tasks is not None:
            await self.voice.audience.open(tasks)
        if self.ledger.ending is not None:
            return
        if self.order.plan.eager and not await self._open_eager():
            return
        for hook in self.order.plan.startup:
            if not await self._call_hook(hook, FailureKind.STARTUP):
                return

    def _open_host(self, tasks: Group | None) -> Host:
        assert tasks is not None
        assert self._resources is not None
        return Host(
            tasks.start,
            self.loop.now,
            self.loop.watch_task(),
            new_signal=self.loop.new_signal,
            resources=self._resources,
        )

    async def _work(self, host: Stage) -> None:
        """Let the actors work until the run holds no token, or has to end."""
        ledger = self.ledger
        ledger.variables = copy_context()
        ledger.host = host
        host.enter(ledger)
        self._is_working = True
        try:
            if self._begin_steps(host):
                try:
                    await host.crew.serve(ledger.run_id)
                finally:
                    self._end_serving()
            if seams.active is not None:
                await seams.active.reach(Seam.QUIET, ledger.run_id, "system")
            if not ledger.stirred.is_set():
                await self._keep_time()
            await self._wait_cleanup()
        except anyio.get_cancelled_exc_class():
            self._interrupted()
            await self._wait_cleanup()  # noqa: ASYNC102
            raise
        except Exception as error:  # noqa: BLE001 - a defect of the engine ends this run only
            ledger.crash(error)
            await self._wait_cleanup()
        finally:
            self._is_working = False
            host.dismiss(ledger)
            if host is not self.host:
                host.crew.dismiss()

    async def _keep_time(self) -> None:
        """Wait until the steps are done or cancelled, or their time is up."""
        if self.order.timeout is None:
            await self.ledger.stirred.wait()
            return
        with anyio.move_on_after(self.order.timeout):
            await self.ledger.stirred.wait()
        if not self.ledger.stirred.is_set():
            self._time_out()

    def _begin_steps(self, host: Stage) -> bool:
        """Start the first steps; tell whether this task is to serve them.

        It does as long as only they are due.  A step that waits holds up nobody but this
        task, which has nothing else to do than to wait for this very step.  Except to
        keep time: a run with a timeout leaves its steps to the receivers.
        """
        if self.order.timeout is not None:
            self._start_roots()
            return False
        host.crew.held = True
        try:
            self._start_roots()
        finally:
            host.crew.held = False
        self.ledger.on_interrupt = self._have_stand_in
        return True

    def _end_serving(self) -> None:
        self.ledger.on_interrupt = _nothing
        if self._stand_in is not None:
            self._stand_in.cancel()

    def _have_stand_in(self) -> None:
        """Let somebody else watch the clean-up: this run's task is inside a step of it."""
        if self.loop.is_in_task():
            self._stand_in = anyio.CancelScope()
            self.ledger.host.spawn(self._wait_instead, self._stand_in)

    async def _wait_instead(self, scope: anyio.CancelScope) -> None:
        with scope:  # noqa: ASYNC912 - it may be quiet by now
            await self._wait_quiet()

    def _start_roots(self) -> None:
        ledger, plan, start = self.ledger, self.order.plan, self.order.start
        wave = ledger.open_wave()
        wave.live += 1
        ledger.take()
        try:
            for root in plan.roots if start is None else (start,):
                flow.begin(ledger, root, wave)
        finally:
            wave.live -= 1
            ledger.give()

    def _time_out(self) -> None:
        text = f"Run timed out after {self.order.timeout:g}s"
        self.ledger.interrupt(PipelineTerminalStatus.TIMEOUT, text)

    def _interrupted(self) -> None:
        """Something above cancelled the work; find the words if nobody left any."""
        if self.ledger.ending is None:
            is_owner = anyio.current_effective_deadline() == -inf
            reason = (
                OWNER_CANCELLED
                if is_owner or self.loop.is_task_cancelled()
                else TASK_CANCELLED
            )
            self.ledger.ending = Ending(PipelineTerminalStatus.CANCELLED, reason)
        ending = self.ledger.ending
        self.ledger.interrupt(ending.status, ending.reason)

    async def _wait_cleanup(self) -> None:
        """Wait until every activation has cleaned up."""
        if self.ledger.tokens:
            with anyio.CancelScope(shield=True):
                await self._wait_quiet()

    async def _wait_quiet(self) -> None:
        """Wait until the run holds no token; say who does when that takes long."""
        while self.ledger.tokens:  # noqa: ASYNC912
            with anyio.move_on_after(PATIENCE):
                await self.ledger.quiet.wait()
            if self.ledger.tokens:
                _logger.warning(
                    "Run %s was told to end but is held up by: %s",
                    self.ledger.run_id,
                    ", ".join(f"{n} x{c}" for n, c in self.ledger.holders.items()),
                    extra={"run": self.ledger.run_id},
                )

    # -- its end

    async def _wind_up(self) -> None:
        """Call the shutdown hooks and say FINISH, whatever is being cancelled outside."""
        is_patient = self.order.plan.shutdown or self.voice.audience.is_patient
        if is_patient:
            async with anyio.create_task_group() as own:
                await self._close_down(own)
        elif self.voice.audience.listeners:
            with anyio.CancelScope(shield=True):
                await self._shut_down()
                await self._finish()
        elif seams.active is not None:
            await self._close_down(None)
        else:
            await self._shut_down()
            await self._finish()

    async def _close_down(self, tasks: TaskGroup | None) -> None:
        grace = self._grace = Grace(self.ledger.run_id, self.loop.now)
        ending = self.ledger.ending
        asked = ending is not None and ending.status in WANTED_OVER
        if asked or self._is_wanted_over:
            grace.ask()
        self._in_reach = tasks
        with anyio.CancelScope(shield=True):
            try:
                await self._shut_down()
                await self._finish()
            finally:
                await grace.end_watch()  # noqa: ASYNC102 - ends at once

    def _watch_owner(self) -> None:
        """Have a task beside the shield, which hides the owner's cancellation."""
        if self._in_reach is not None and self._grace is not None:
            start = partial(self.loop.start_in, self._in_reach)
            self._grace.start_watch(start, self._owner_cancelled)

    def _owner_cancelled(self) -> None:
        self.stop(PipelineTerminalStatus.CANCELLED, OWNER_CANCELLED)

    async def _shut_down(self) -> None:
        ending = self.ledger.ending
        try:
            if seams.active is not None:
                await seams.active.reach(Seam.WIND_UP, self.ledger.run_id, "system")
            if ending is not None and ending.status is PipelineTerminalStatus.TIMEOUT:
                self.voice.say(EventType.TIMEOUT, "system", ending.reason)
            if self.order.plan.shutdown:
                await self._call_shutdown_hooks()
        except Exception as error:  # noqa: BLE001 - the run still has to say how it ended
            self._crash(error)

    async def _call_shutdown_hooks(self) -> None:
        assert self._grace is not None
        for hook in self.order.plan.shutdown:
            with self._grace.limit(f"shutdown hook '{hook.name}'") as limit:
                await self._call_hook(hook, FailureKind.SHUTDOWN)
            if limit.cancelled_caught:
                late = HookTimeoutError(hook.name, GRACE)
                self._hook_failed(FailureKind.SHUTDOWN, late)

    async def _finish(self) -> None:
        sink = self.voice.sink
        self.ledger.tally.depth = sink.depth
        finish, end = self._word_finish()
        self.voice.audience.put(finish)
        has_failed = end.status is PipelineTerminalStatus.FAILED
        failure = self._cause() if has_failed else None
        if self._grace is not None and self.voice.audience.listeners:
            self._grace.renew()
            limit = self._grace.limit("observers")
            if self.voice.audience.is_patient:
                self._watch_owner()
            await self.voice.audience.finish(end, failure, limit)
        elif self.voice.audience.listeners:
            await self.voice.audience.finish_alone(end)
        sink.put(finish)
        sink.end()

    def _word_finish(self) -> tuple[Event, PipelineEndData]:
        """Word FINISH; a hook that fails over it has failed the run."""
        before = self.ledger.aborted
        end = self.end = self._conclude()
        meta = self.notes.snapshot() or None
        finish = self.voice.word(end, meta)
        if self.ledger.aborted is not before:
            end = self.end = self._conclude()
            finish = replace(finish, payload=end)
        return finish, end

    def _conclude(self) -> PipelineEndData:
        ledger = self.ledger
        config = ledger.plan.classification
        figures = Figures(self.age, ledger.tally.metrics(), ledger.diagnostics)
        try:
            return conclude(ledger.ending, ledger.journal, config, figures)
        except BaseException as error:  # noqa: BLE001, ASYNC103 - the classifier wants more
            self._crash(error)
            config = FailureClassificationConfig()
            return conclude(ledger.ending, ledger.journal, config, figures)  # noqa: ASYNC104

    def _cause(self) -> Exception:
        primary = self.ledger.journal.primary
        return primary.error if primary else RuntimeError("unknown failure")

    # -- hooks

    async def _call_hook(self, hook: Callback, kind: FailureKind) -> bool:
        """Call a hook and tell whether it went well."""
        try:
            if seams.active is not None:
                await seams.active.reach(Seam.HOOK, self.ledger.run_id, hook.name)
            result = call(hook.func, hook.bind(self.ledger, CallValues()))
            if isawaitable(result):
                self._watch_owner()
            await settle_value(result, None)
        except BaseException as error:  # noqa: ASYNC103 - what is our own is raised again
            culprit = blamed(error, hook.name, self.loop.is_task_cancelled)
            if culprit is None:
                raise
            if isinstance(culprit, Exception):
                self._hook_failed(kind, culprit)
            else:
                self._crash(culprit)
            return False  # noqa: ASYNC104
        return True

    async def _open_eager(self) -> bool:
        """Open what is to be open before anything runs; a failure is one of starting."""
        owner = self._resources or (self.host.resources if self.host else None)
        assert owner is not None
        try:
            await owner.open(self.order.plan.eager)
        except ResourceUnavailable as error:
            self._hook_failed(FailureKind.STARTUP, error)
            return False
        return True

    def _hook_failed(self, kind: FailureKind, error: Exception) -> None:
        reason = (
            FailureReason.STARTUP_HOOK_ERROR
            if kind is FailureKind.STARTUP
            else FailureReason.SHUTDOWN_HOOK_ERROR
        )
        self.ledger.journal.add(Trouble(kind, reason, error))
        self.voice.say(EventType.STEP_ERROR, kind.value, text_of(error))

    def _nothing_to_do(self) -> None:
        error = EmptyPipelineError(self.order.plan.name)
        self.ledger.journal.add(
            Trouble(FailureKind.VALIDATION, FailureReason.NO_STEPS, error)
        )
        self.voice.say(EventType.STEP_ERROR, "system", text_of(error))

    def _crash(self, error: BaseException) -> None:
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        cause = error if isinstance(error, Exception) else RuntimeError(repr(error))
        if self.ledger.aborted is None:
            self.ledger.aborted = error
            self.ledger.journal.add(
                Trouble(FailureKind.INFRA, FailureReason.INTERNAL_ERROR, cause)
            )
