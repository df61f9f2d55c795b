"""``TestPipe.run(answers=...)``: tests of pipes that ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from justpipe_actors import Ask, Pipe, TestPipe, ask
from justpipe_actors.errors import AnswerRejected, AskTimeout, UnansweredAsk


@dataclass
class Report:
    log: list[Any] = field(default_factory=list)


def asking() -> Pipe[Report, Any]:
    """Return a pipe that asks twice."""
    pipe = Pipe[Report, Any](Report, name="asking")

    @pipe.step()
    async def draft(state: Report) -> Ask:
        state.log.append(await ask(int, "How many?", key="count"))
        return Ask(bool, "Publish?", to=publish, key="publish")

    @pipe.step()
    async def publish(state: Report, ok: bool) -> None:
        state.log.append(ok)

    return pipe


@pytest.mark.parametrize(
    "names", [("count", "publish"), ("draft:count", "draft:publish")]
)
async def test_asks_are_answered_by_key(names: tuple[str, str]) -> None:
    """The key is enough, or the key with the step where two are equal."""
    answers = {names[0]: lambda payload: len(payload["note"]), names[1]: True}
    result = await TestPipe(asking()).run(Report(), answers=answers)
    assert result.final_state.log == [9, True]


async def test_an_ask_without_an_answer_fails_the_test() -> None:
    """The message names the ask and how to answer it."""
    with pytest.raises(UnansweredAsk, match=r"answers=\{'draft:publish'"):
        await TestPipe(asking()).run(Report(), answers={"count": 1})


async def test_an_answer_that_does_not_fit_fails_the_test() -> None:
    """The form of the pipe is used."""
    with pytest.raises(AnswerRejected, match="integer"):
        await TestPipe(asking()).run(Report(), answers={"count": "many"})


@pytest.mark.virtual_time
async def test_an_ask_with_a_timeout_may_stay_open() -> None:
    """So a test can see what the pipe does without an answer."""
    pipe = Pipe[Report, Any](Report, name="late")

    @pipe.step()
    async def wait(state: Report) -> None:
        try:
            await ask(bool, timeout=3600)
        except AskTimeout:
            state.log.append("late")

    result = await TestPipe(pipe).run(Report())
    assert result.final_state.log == ["late"]
