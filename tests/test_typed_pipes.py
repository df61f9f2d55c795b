"""A pipe knows the types of its state and context; type checkers compare them.

The comments ``type: ignore`` are part of the tests: mypy reports one that it does not
need, so each of them says that the line before it is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_type

import anyio
import pytest

from justpipe_actors import Pipe, RunStream, Supervisor


# Calls that only type checkers look at make runs that never begin.
pytestmark = pytest.mark.filterwarnings("ignore:A run was never begun:RuntimeWarning")


@dataclass
class Page:
    """A state."""

    words: int = 0


class LongPage(Page):
    """A state that is a page, too."""


@dataclass
class Settings:
    """A context."""

    limit: int = 3


def counting() -> Pipe[Page, Settings]:
    """Return a pipe that counts one word."""
    pipe = Pipe(Page, Settings)

    @pipe.step
    async def count(page: Page, settings: Settings) -> None:
        page.words += settings.limit

    return pipe


def test_a_run_takes_the_state_of_its_pipe() -> None:
    """A subclass is accepted; the context may be left out."""
    pipe = counting()

    state = pipe.run_sync(LongPage(), Settings())

    assert_type(state, Page)
    assert state.words == 3


def test_type_checkers_refuse_a_wrong_state_and_a_wrong_context() -> None:
    """The runs in these lines are never entered, so they do not begin."""
    pipe = counting()

    pipe.run(3)  # type: ignore[arg-type]
    pipe.run(None)  # type: ignore[arg-type]
    pipe.run(Page(), "settings")  # type: ignore[arg-type]
    pipe.run(state={"words": 0})  # type: ignore[arg-type]


def test_a_pipe_without_types_takes_any_state() -> None:
    """``Pipe()`` is ``Pipe[Any, Any]``."""
    pipe = Pipe()

    pipe.run(3)
    pipe.run(None, "settings")
    assert_type(pipe, Pipe[Any, Any])


def test_a_supervisor_checks_the_types_too() -> None:
    """``run`` and ``submit`` take the state of their pipe."""
    pipe = counting()

    async def main() -> int:
        page = Page()
        async with Supervisor(pipe) as supervisor:
            supervisor.run(pipe, 3)  # type: ignore[misc]
            supervisor.run(pipe, page, "settings")  # type: ignore[misc]
            await supervisor.run(pipe, page, Settings()).wait()
            run = await supervisor.submit(pipe, page, Settings())
            await run.wait()
            return page.words

    assert anyio.run(main) == 6


def test_a_run_knows_the_type_of_its_result() -> None:
    """So an editor completes the fields of ``await run.result()``."""
    pipe = counting()

    async def main() -> int:
        async with pipe.run(Page(), Settings()) as run:
            assert_type(run, RunStream[Page])
            page = await run.result()
        return assert_type(page, Page).words

    assert anyio.run(main) == 3


def test_a_submitted_run_knows_the_type_of_its_result() -> None:
    """The type comes from the pipe, or from the state when the pipe is given by name."""
    pipe = counting()

    async def main() -> int:
        async with Supervisor(pipe) as supervisor:
            run = await supervisor.submit(pipe, LongPage(), Settings())
            assert_type(run, RunStream[Page])
            named = await supervisor.submit("Pipe", Page(), Settings())
            assert_type(named, RunStream[Page])
            hosted = supervisor.run(pipe, Page(), Settings())
            assert_type(hosted, RunStream[Page])
            now = supervisor.submit_nowait(pipe, Page(), Settings())
            assert_type(now, RunStream[Page])
            pages = [await each.result() for each in (run, named, hosted, now)]
        return sum(page.words for page in pages)

    assert anyio.run(main) == 12


def test_the_type_of_a_run_may_be_left_out() -> None:
    """``RunStream`` is a run of any pipe, and a run of a subclass is accepted for its base."""
    pipe = Pipe(LongPage)

    @pipe.step
    async def count(page: LongPage) -> None:
        page.words += 1

    async def read(run: RunStream) -> Any:
        return await run.result()

    async def count_words(run: RunStream[Page]) -> int:
        return (await run.result()).words

    async def main() -> int:
        page = await read(counting().run(Page(), Settings()))
        return int(page.words) + await count_words(pipe.run(LongPage()))

    assert anyio.run(main) == 4


def test_type_checkers_refuse_what_the_result_does_not_have() -> None:
    """Examples are a field with another name, and a run of another state."""

    async def look(run: RunStream[Page]) -> None:
        _ = (await run.result()).letters  # type: ignore[attr-defined]

    look(Pipe(Settings).run(Settings())).close()  # type: ignore[arg-type]
