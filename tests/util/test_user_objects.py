"""Questions to user objects have an answer, whatever the objects raise."""

from __future__ import annotations

import logging
import warnings

import pytest

from justpipe_actors._util.user_objects import (
    annotations_of,
    call_or,
    module_names,
    resolve_hint,
    type_hints_of,
    warn_or_log,
)


class Base:
    """A class with annotations, one of which cannot be resolved."""

    known: int
    unknown: Nowhere  # type: ignore[name-defined]  # noqa: F821


class Derived(Base):
    """A class with one annotation of its own."""

    own: str


def test_an_exception_gives_the_default() -> None:
    """An error of the object is replaced by the default."""
    assert call_or("?", int, "no number") == "?"
    assert call_or("?", int, "7", base=8) == 7


def test_a_base_exception_is_raised() -> None:
    """The end of a task or of the program is not replaced."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call_or(None, interrupt)


def test_hints_are_resolved_one_by_one() -> None:
    """One annotation that cannot be resolved hides no other."""
    assert type_hints_of(Derived) is None
    assert list(annotations_of(Derived)) == [
        (Base, "known", "int"),
        (Base, "unknown", "Nowhere"),
        (Derived, "own", "str"),
    ]
    assert resolve_hint("list['Base']", module_names(Base)) == list[Base]


def test_a_warning_that_became_an_error_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A program that turns warnings into errors still gets the text."""
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        warn_or_log("look here", warnings.warn, "look here")

    assert caplog.messages == ["look here"]
