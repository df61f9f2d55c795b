"""The API reference has every public name, and each docstring describes its whole signature."""

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
    """Import the object with a full name."""
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def test_every_public_name_is_in_the_reference() -> None:
    """A class or function may be there under another of its names."""
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
    """Two headings of one name would make its links ambiguous."""
    names = listed_names()

    assert sorted(set(names)) == sorted(names)


def test_the_reference_names_no_module() -> None:
    """A function in a module of its name would be shown as that module."""
    source = PAGES.parents[2] / "src"
    paths = {name: source.joinpath(*name.split(".")) for name in listed_names()}

    modules = [
        name
        for name, path in paths.items()
        if path.is_dir() or path.with_suffix(".py").exists()
    ]

    assert modules == []


def test_public_docstrings_are_markdown() -> None:
    """The pages would show both colons of reStructuredText's code blocks."""
    classes = [one for one in public_names().values() if inspect.isclass(one)]
    members = [member for one in classes for member in vars(one).values()]

    double = [
        text
        for one in (*public_names().values(), *members)
        if isinstance(text := getattr(one, "__doc__", None), str)
        if any(line.endswith("::") for line in text.splitlines())
    ]

    assert double == []


@pytest.mark.parametrize("name", sorted(public_callables()))
def test_a_docstring_describes_its_signature(name: str) -> None:
    """It names each parameter and the errors that are raised, and describes the result."""
    function = public_callables()[name]

    if not keeps_a_contract(name, function):
        assert lacks(function, docstring_of(name, function)) == []


def test_a_class_describes_the_arguments_it_inherits_from_an_unlisted_one() -> None:
    """The reference shows no page of the base class that could describe them."""
    classes = [one for one in public_names().values() if inspect.isclass(one)]
    unclear = {
        one.__name__: problems
        for one in classes
        if (base := origin_of_init(one)) is not None
        if base not in classes and not issubclass(one, BaseException)
        if (problems := lacks(vars(base)["__init__"], inspect.getdoc(one) or ""))
    }

    assert unclear == {}


def origin_of_init(kind: type) -> type | None:
    """Return the class of this package whose ``__init__`` a class has."""
    origin = next(base for base in kind.__mro__ if "__init__" in vars(base))
    is_ours = origin.__module__.startswith("justpipe_actors")
    return origin if is_ours and "__init__" not in vars(kind) else None


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
def test_the_check_finds_what_a_docstring_lacks(text: str, problem: str | None) -> None:
    """Each kind of gap is found."""

    def add(a: int, b: int) -> int:
        if a < 0:
            raise ValueError
        return a + b

    assert lacks(add, text) == ([] if problem is None else [problem])
