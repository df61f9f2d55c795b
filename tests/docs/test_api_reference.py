"""The API reference has every public name, and its docstring says what its signature says."""

from __future__ import annotations

import importlib
import inspect
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.docs.public_names import (
    docstring_of,
    keeps_a_contract,
    lacks,
    public_callables,
    public_names,
)

from justpipe_actors.errors import MissingExtraError


pytest.importorskip("starlette", reason="the reference has the extras, too")

PAGES = Path(__file__).parents[2] / "docs" / "reference" / "api"


def listed_names() -> list[str]:
    """Return the names on the pages of the reference."""
    texts = [page.read_text("utf-8") for page in sorted(PAGES.glob("*.md"))]
    return re.findall(r"^::: (\S+)$", "\n".join(texts), re.MULTILINE)


def documented() -> dict[str, Any]:
    """Return what the pages document and this environment has the extras for."""
    found = {}
    for name in listed_names():
        with suppress(MissingExtraError):
            found[name] = named(name)
    return found


def named(name: str) -> Any:
    """Import what a full name means."""
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def test_every_public_name_is_in_the_reference() -> None:
    """By its own name, or for a class or function by another of its names."""
    found = documented()
    same = [
        one for one in found.values() if inspect.isroutine(one) or inspect.isclass(one)
    ]

    missing = [
        name
        for name, thing in public_names().items()
        if name not in found
        and not any(one is thing for one in same)
        and name.rpartition(".")[2] not in {one.rpartition(".")[2] for one in found}
        and not name.endswith(".__version__")
    ]

    assert missing == []


def test_the_reference_has_each_name_once() -> None:
    """Two headings of one name would be two targets of its links."""
    names = listed_names()

    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("name", sorted(public_callables()))
def test_a_docstring_says_what_its_signature_says(name: str) -> None:
    """It names each parameter and the errors it raises, and describes its result."""
    function = public_callables()[name]

    if not keeps_a_contract(name, function):
        assert lacks(function, docstring_of(name, function)) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "has no docstring"),
        ("Return the sum of a and b; ValueError.\n", None),
        (
            "Return the sum; ValueError.\n\nArgs:\n    a: one.\n",
            "does not name the parameter b",
        ),
        ("Add a and b; ValueError.\n", "does not describe its result"),
        ("Return the sum of a and b.\n", "does not list ValueError"),
        (
            "Return a sum; ValueError.\n\nArgs:\n    a: one.\n    b: two.\n    c: three.\n",
            "describes c, which is no parameter",
        ),
    ],
)
def test_what_a_docstring_lacks_is_found(text: str, problem: str | None) -> None:
    """The check itself finds each kind of gap."""

    def add(a: int, b: int) -> int:
        if a < 0:
            raise ValueError
        return a + b

    assert lacks(add, text) == ([] if problem is None else [problem])
