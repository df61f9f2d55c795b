"""Calls of remote placements: packed, transported, executed, merged.

The placement here transports them to a thread and has no process to start.
"""

from __future__ import annotations

import logging
import pickle
from typing import Any

import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.abc import Call, Outcome, Placement, PlacementOwner
from justpipe_actors.errors import (
    NotPicklable,
    PlacementLost,
    RemoteError,
    RemoteUnavailable,
)
from justpipe_actors.placements import ThreadPlacement
from justpipe_actors.testing.conformance import PLACEMENT_CHECKS, checks_for
from justpipe_actors.testing.conformance.placements import Check

from . import functions
from .functions import Report, Settings


AnyPipe = Pipe[Any, Any]


class Copying(ThreadPlacement):
    """A remote placement that calls in a thread."""

    name = "copying"
    is_remote = True

    async def call(self, call: Call, /) -> Outcome:
        """Transport a call as bytes, and its outcome, too."""
        sent: Call = pickle.loads(pickle.dumps(call))
        outcome: Outcome = pickle.loads(pickle.dumps(await super().call(sent)))
        return outcome


class Losing(Copying):
    """A remote placement whose workers die."""

    async def call(self, call: Call, /) -> Outcome:
        """Fail the call."""
        raise PlacementLost(call.step, self.name, "its worker died")


@pytest.mark.parametrize("check", PLACEMENT_CHECKS, ids=lambda check: check.__name__)
async def test_a_remote_placement_of_a_user_keeps_the_contract(check: Check) -> None:
    """Each check of the conformance suite holds for it."""
    await check(Copying())


def test_local_placements_have_further_checks() -> None:
    """Identity of objects is checked only for placements that share memory."""
    assert checks_for(Copying()) == PLACEMENT_CHECKS
    assert len(checks_for(ThreadPlacement())) > len(PLACEMENT_CHECKS)


async def run_one(func: Any, state: Any, context: Any = None) -> list[BaseException]:
    """Run one placed step, and return its error."""
    errors: list[BaseException] = []
    pipe = AnyPipe(Report, Settings)
    pipe.step("work", placement=Copying())(func)
    pipe.on_error(lambda error: errors.append(error))
    async with Supervisor():
        await pipe.run(state, context).wait()
    return errors


async def test_changes_of_state_and_context_come_back() -> None:
    """The worker gets copies; their changes are merged into the run's own objects."""
    state, context = Report(), Settings(factor=2)

    assert await run_one(functions.use_context, state, context) == []

    assert (state.count, context.seen) == (42, ["there"])


async def test_async_functions_run_on_a_loop_of_their_own() -> None:
    """The worker opens an event loop of the same kind."""
    state = Report()

    assert await run_one(functions.add_word_async, state) == []

    assert state.words == ["async"]


async def test_values_that_cannot_be_pickled_are_named() -> None:
    """This holds for errors, results and states."""
    (error,) = await run_one(functions.fail_unpicklable, Report())
    (result,) = await run_one(functions.return_lock, Report())
    words: Any = [lambda: None]
    (state,) = await run_one(functions.add_word, Report(words=words))

    assert isinstance(error, RemoteError)
    assert isinstance(result, NotPicklable)
    assert isinstance(state, NotPicklable)
    assert (result.what, state.what) == ("result", "state")


async def test_functions_of_the_run_are_refused() -> None:
    """Asks, ``once`` and timers work only in the process of the run."""
    for func in (functions.ask_there, functions.keep_there, functions.sleep_there):
        (error,) = await run_one(func, Report())
        assert isinstance(error, RemoteUnavailable)


async def test_a_thread_logs_once(caplog: pytest.LogCaptureFixture) -> None:
    """A record from the same process is not handled a second time."""
    with caplog.at_level(logging.INFO):
        assert await run_one(functions.log_something, Report()) == []

    names = [record.name for record in caplog.records]
    assert names.count("their.module") == 2


async def test_a_lost_call_is_a_failure_like_any_other() -> None:
    """``retries=`` applies, the handler is called, and the state is unchanged."""
    asked: list[BaseException] = []
    pipe = AnyPipe(Report)
    pipe.step(
        "work",
        placement=Losing(),
        retries=2,
        retry_wait_min=0,
        retry_wait_max=0,
        on_error=lambda error: asked.append(error),
    )(functions.add_word)
    state = Report()

    async with Supervisor():
        end = await pipe.run(state).wait()

    (lost,) = asked
    assert isinstance(lost, PlacementLost)
    assert (lost.step, lost.placement) == ("work", "copying")
    assert (end.error, state.words) == (None, [])


def test_errors_of_placements_survive_pickling() -> None:
    """They keep their facts."""
    for error in (
        PlacementLost("a", "process", "gone"),
        RemoteError("KeyError", "'x'", "trace"),
        NotPicklable("a", "state", "a lock"),
        RemoteUnavailable("ask()"),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert str(again) == str(error)


async def test_a_thread_placement_can_be_opened_and_called_directly() -> None:
    """It has the same methods as a remote placement."""
    placement: Placement = ThreadPlacement()

    async with placement.open(PlacementOwner(name="test")) as opened:
        assert opened is placement
