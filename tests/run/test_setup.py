"""Which contexts are given their ``Meta``, and which ask for it in vain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import pytest

from justpipe_actors import Meta, Pipe
from justpipe_actors.errors import DefinitionError


def counting() -> Pipe[Any, Any]:
    """Return a pipe that notes its runs on the context's ``Meta``, whatever it is called."""
    pipe: Pipe[Any, Any] = Pipe()

    @pipe.step
    def note(context: Any) -> None:
        for meta in vars(context).values():
            if meta is not None:
                meta.run.set("noted", True)

    return pipe


@dataclass
class Asking:
    meta: Meta | None = None


@dataclass
class AskingAsOfOld:
    about: Optional[Meta] = None  # noqa: UP045 - programs still write it


@dataclass
class AskingTwice:
    one: Meta | None = None
    other: Meta | None = None


@dataclass(frozen=True)
class Frozen:
    meta: Meta | None = None


@dataclass
class Riddle:
    meta: "NobodyKnows | None" = None  # type: ignore[name-defined] # noqa: F821, UP037


@pytest.mark.parametrize("kind", [Asking, AskingAsOfOld])
async def test_a_context_that_asks_is_given_its_meta(kind: Any) -> None:
    """A field of type ``Meta``, or of ``Meta`` and None, is filled as the run begins."""
    context = kind()

    async with counting().run(None, context) as run:
        end = await run.wait()

    assert end.errors == []
    (meta,) = vars(context).values()
    assert meta.run.get("noted") is True


async def test_a_context_asks_once() -> None:
    """Which of two fields is meant cannot be known: the run is refused, naming both."""
    with pytest.raises(DefinitionError, match=r"Only one Meta field .* one, other"):
        await counting().run(None, AskingTwice()).wait()


async def test_a_frozen_context_cannot_ask() -> None:
    """A context that nobody may write to is refused before anything runs."""
    with pytest.raises(DefinitionError, match=r"Frozen\.meta asks for Meta"):
        await counting().run(None, Frozen()).wait()


async def test_hints_that_mean_nothing_ask_for_nothing() -> None:
    """A context whose annotations cannot be resolved is left as it is."""
    context = Riddle()

    async with counting().run(None, context) as run:
        end = await run.wait()

    assert end.errors == []
    assert context.meta is None
