"""Which contexts get their ``Meta``, and which are refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import pytest

from justpipe_actors import Meta, Pipe
from justpipe_actors.errors import DefinitionError


def counting() -> Pipe[Any, Any]:
    """Return a pipe that counts in the context's ``Meta``, in an attribute of any name."""
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
async def test_a_context_with_a_field_for_meta_gets_it(kind: Any) -> None:
    """A field of type ``Meta``, or of ``Meta`` and None, is set before the run begins."""
    context = kind()

    async with counting().run(None, context) as run:
        end = await run.wait()

    assert end.errors == []
    (meta,) = vars(context).values()
    assert meta.run.get("noted") is True


async def test_two_fields_for_meta_are_refused() -> None:
    """The error names both, because the right one cannot be known."""
    with pytest.raises(DefinitionError, match=r"Only one Meta field .* one, other"):
        await counting().run(None, AskingTwice()).wait()


async def test_a_frozen_context_with_a_field_for_meta_is_refused() -> None:
    """The error comes before anything runs."""
    with pytest.raises(DefinitionError, match=r"Frozen\.meta asks for Meta"):
        await counting().run(None, Frozen()).wait()


async def test_a_context_with_unknown_annotations_is_left_alone() -> None:
    """Annotations that cannot be resolved are ignored."""
    context = Riddle()

    async with counting().run(None, context) as run:
        end = await run.wait()

    assert end.errors == []
    assert context.meta is None
