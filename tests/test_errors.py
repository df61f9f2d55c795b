from __future__ import annotations

import builtins
import inspect
import pickle
import re
from collections.abc import Iterator
from typing import Any

import pytest

from justpipe_actors import errors as errors
from justpipe_actors.errors.base import Factual


SAMPLES: dict[str, object] = {
    "capacity": 3,
    "choices": (1, 0),
    "found": 2,
    "known": ("fetch", "store"),
    "max_retries": 5,
    "period": 5.0,
    "restarts": 4,
    "seconds": 1.5,
}
"""Facts that are more than a text, by the name errors give them."""

SEQUENCES = {"candidates", "missing", "routes", "steps_at_work"}


def kinds() -> list[type[BaseException]]:
    """Return every exception and warning of the library."""
    named = (getattr(errors, name) for name in errors.__all__)
    return [one for one in named if isinstance(one, type)]


def factual() -> list[Any]:
    """Return the errors that word their own message."""
    return [one for one in kinds() if getattr(one, "__match_args__", ())]


def fact(kind: type[BaseException], name: str) -> object:
    """Return a fact of the type that this error takes."""
    if name in SAMPLES and not (kind is errors.StoreVersionError and name == "known"):
        return SAMPLES[name]
    if kind is errors.StoreVersionError:
        return {"path": "runs.db", "known": 1}[name]
    return ("a", "b") if name in SEQUENCES else f"the {name}"


def build(kind: Any) -> Any:
    """Return an error of a class, made of sample facts."""
    return kind(*(fact(kind, name) for name in kind.__match_args__))


def drawn() -> Iterator[tuple[int, str, str]]:
    """Read the tree in the docstring: depth, name and the builtin base in brackets."""
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^ {4}([│ ├└─]*)(\w+)(?: \((\w+)\))?(?: |$)", line)
        if found:
            yield len(found[1]) // 4, found[2], found[3] or ""


def test_the_documented_tree_is_complete() -> None:
    """Every exception is in the drawing below its base."""
    above: dict[int, type] = {}
    seen = set()
    for depth, name, base in drawn():
        kind = getattr(errors, name, None) or getattr(builtins, name)
        above[depth] = kind
        seen.add(kind)
        if depth:
            assert issubclass(kind, above[depth - 1]), name
        assert not base or issubclass(kind, getattr(builtins, base)), name

    assert set(kinds()) <= seen


@pytest.mark.parametrize("kind", factual(), ids=lambda kind: kind.__name__)
def test_an_error_keeps_its_facts(kind: type[Factual]) -> None:
    """Each fact is an attribute, in the order of the parameters."""
    assert tuple(inspect.signature(kind).parameters) == kind.__match_args__

    error = build(kind)

    for name in kind.__match_args__:
        assert getattr(error, name) == fact(kind, name)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", factual(), ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling(kind: type[Factual]) -> None:
    """In another process it has the same text and facts."""
    error = build(kind)

    again = pickle.loads(pickle.dumps(error))

    assert type(again) is kind
    assert str(again) == str(error) != ""
    assert vars(again) == vars(error)


def test_an_error_without_facts_survives_pickling() -> None:
    """A base class that is raised with a text keeps the text."""
    again = pickle.loads(pickle.dumps(errors.RunError("as the author says")))

    assert type(again) is errors.RunError
    assert str(again) == "as the author says"


def test_a_definition_error_survives_pickling() -> None:
    """A problem keeps its step, and a group its problems, each listed once."""
    one = errors.DefinitionError("no such step", step_name="fetch")
    both = errors.DefinitionErrorGroup("2 problems", [one, errors.DefinitionError("x")])

    again = pickle.loads(pickle.dumps(both))

    assert str(again) == str(both)
    assert [str(problem) for problem in again.exceptions] == ["no such step", "x"]
    assert again.exceptions[0].step_name == "fetch"


def test_facts_can_be_matched() -> None:
    """Class patterns give the facts of a caught error."""
    match errors.StepTimeoutError("fetch", 1.5):
        case errors.StepTimeoutError(step, seconds):
            assert (step, seconds) == ("fetch", 1.5)
        case _:
            pytest.fail("it is of that class")


def test_an_error_refuses_wrong_facts() -> None:
    """Too many, unknown or missing facts raise where the error is made."""
    kind: Any = errors.StepTimeoutError
    for args, named in ((("s", 1.0, 2), {}), (("s",), {"second": 1.0}), (("s",), {})):
        with pytest.raises(TypeError):
            kind(*args, **named)


def test_the_old_name_of_an_error_means_the_new_one() -> None:
    """A program that catches an error by its old name still works."""
    assert errors.ReceiverKilled is errors.DispatcherTaskKilled


@pytest.mark.parametrize(
    "error",
    [
        errors.RunStuck("one", "step 'b' is gone. Deploy another version."),
        errors.RunRejected("it is full.", "Wait."),
        errors.JournalUnusableError("runs.db", "it was removed. Put it back."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_fact_that_is_a_sentence_ends_with_one_full_stop(error: Exception) -> None:
    """What others have worded is read as part of the message."""
    assert ".." not in str(error)
