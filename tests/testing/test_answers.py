"""``TestPipe.run(answers=...)``: pipes that ask people, in tests."""

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
async def test_questions_are_answered_by_key(names: tuple[str, str]) -> None:
    """A key is enough; with the step before it where two ask alike."""
    answers = {names[0]: lambda payload: len(payload["note"]), names[1]: True}
    result = await TestPipe(asking()).run(Report(), answers=answers)
    assert result.final_state.log == [9, True]


async def test_a_question_without_an_answer_fails_the_test() -> None:
    """The message says which, and how to answer it."""
    with pytest.raises(UnansweredAsk, match=r"answers=\{'draft:publish'"):
        await TestPipe(asking()).run(Report(), answers={"count": 1})


async def test_an_answer_that_does_not_fit_fails_the_test() -> None:
    """The form is that of the pipe."""
    with pytest.raises(AnswerRejected, match="integer"):
        await TestPipe(asking()).run(Report(), answers={"count": "many"})


@pytest.mark.virtual_time
async def test_a_question_with_a_deadline_may_stay_open() -> None:
    """That is how a test sees what the pipe does when nobody answers."""
    pipe = Pipe[Report, Any](Report, name="late")

    @pipe.step()
    async def wait(state: Report) -> None:
        try:
            await ask(bool, timeout=3600)
        except AskTimeout:
            state.log.append("late")

    result = await TestPipe(pipe).run(Report())
    assert result.final_state.log == ["late"]
