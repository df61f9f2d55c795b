"""What the function of a resource declares, and which parameters receive the resource."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, Optional, TypeVar

import pytest

from justpipe_actors import DefinitionError, Pipe
from justpipe_actors._definition.injection import parameter_types_of
from justpipe_actors._definition.resources import define_resource, matching_resources


T = TypeVar("T")


class Base:
    pass


class Db(Base):
    pass


class Pool(Generic[T]):
    pass


class Client:
    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *args: object) -> None: ...


async def iterator() -> AsyncIterator[Db]:
    """Yield from a function typed as an iterator."""
    yield Db()


async def generator() -> AsyncGenerator[Db, None]:
    """Yield from a function typed as a generator."""
    yield Db()


async def iterable() -> AsyncIterable[Db]:
    """Yield from a function typed as an iterable."""
    yield Db()


@contextlib.asynccontextmanager
async def decorated() -> AsyncIterator[Db]:
    """Yield from a function that is already decorated as a context manager."""
    yield Db()


def manager() -> AbstractAsyncContextManager[Db]:
    """Yield from a function that returns a context manager."""
    return decorated()


def client() -> Client:
    """Yield from a function that returns a class of context managers."""
    return Client()


async def generic() -> AsyncIterator[Pool[int]]:
    """Yield a value of a generic type."""
    yield Pool()


async def silent():  # type: ignore[no-untyped-def]  # noqa: ANN201 - that is the point
    """Yield without an annotation."""
    yield Db()


def bare() -> AbstractAsyncContextManager:  # type: ignore[type-arg]
    """Yield from a function typed as a context manager without a type of its value."""
    return decorated()


def number() -> int:
    """Yield from a function typed as something that is no context manager."""
    return 1


async def unresolved() -> AsyncIterator[Nowhere]:  # type: ignore[name-defined]  # noqa: F821
    """Yield from a function with a type that is not defined."""
    yield None


@pytest.mark.parametrize(
    ("func", "value_type"),
    [
        (iterator, Db),
        (generator, Db),
        (iterable, Db),
        (decorated, Db),
        (manager, Db),
        (client, Client),
        (Client, Client),
        (generic, Pool[int]),
        (silent, Any),
        (bare, Any),
        (number, Any),
        (unresolved, Any),
    ],
)
def test_the_type_of_a_resources_value_is_found(func: Any, value_type: object) -> None:
    """It is what the iterator yields or the manager returns, or it is unknown."""
    assert define_resource("it", func).value_type == value_type


def test_a_resources_parameters_are_other_resources() -> None:
    """Parameters with a default are not injected."""

    def func(pool: Db, plain: Any, limit: int = 3) -> Client:
        return Client()

    assert define_resource("it", func).parameter_types == {"pool": Db, "plain": Any}


RESOURCES = {
    name: define_resource(name, func)
    for name, func in {
        "db": iterator,
        "client": client,
        "pool": generic,
        "anything": silent,
    }.items()
}


@pytest.mark.parametrize(
    ("parameter", "hint", "expected"),
    [
        ("db", Any, ("db",)),
        ("db", int, ("db",)),
        ("anything", Any, ("anything",)),
        ("x", Db, ("db",)),
        ("x", Base, ("db",)),
        ("x", Optional[Db], ("db",)),  # noqa: UP045 - the older spelling
        ("x", Db | None, ("db",)),
        ("x", Db | Client, ("db", "client")),
        ("x", Pool[int], ("pool",)),
        ("x", Pool[str], ()),
        ("x", Any, ()),
        ("x", object, ()),
        ("x", None, ()),
        ("x", dict[str, Any], ()),
        ("x", str, ()),
        ("x", 3, ()),
    ],
)
def test_a_parameter_is_matched_by_name_or_else_by_type(
    parameter: str, hint: object, expected: tuple[str, ...]
) -> None:
    """The name is enough; a type must fit the declared one, and plain types do not count."""
    assert matching_resources(parameter, hint, RESOURCES) == expected


def test_plain_types_match_no_resource() -> None:
    """A resource that yields text is injected by name only."""

    async def text() -> AsyncIterator[str]:
        yield ""

    resources = {"text": define_resource("text", text)}
    (hint,) = parameter_types_of(lambda url: url, "it").values()

    assert matching_resources("url", str, resources) == ()
    assert matching_resources("url", str | None, resources) == ()
    assert matching_resources("url", str | Db, resources) == ()
    assert matching_resources("url", hint, resources) == ()


class Half:
    """Entered, and never left."""

    async def __aenter__(self) -> Half:
        return self


def a_number() -> int:
    """Return what is declared."""
    return 1


def a_page() -> dict[str, int]:
    """Return what is declared."""
    return {}


def nothing() -> None:
    """Return nothing, as declared."""


@pytest.mark.parametrize(
    ("func", "problem"),
    [
        (Db, "Db is no context manager, so it cannot be a resource. Write a function"),
        (Half, "Half is no context manager, so it cannot be a resource."),
        (a_number, "is declared to return int, which is no context manager. Yield the"),
        (a_page, "is declared to return dict[str, int], which is no context manager"),
        (nothing, "is declared to return None, which is no context manager"),
        (Db(), "is opened by a function, and this is an object of Db"),
        ("db", "is opened by a function, and this is an object of str"),
        (
            contextlib.contextmanager(iter)([]),
            "Pass the function itself, without a call",
        ),
        (decorated(), "Pass the function itself, without a call"),
    ],
)
def test_what_certainly_opens_nothing_is_refused_when_it_is_defined(
    func: Any, problem: str
) -> None:
    """A function without annotations is called to know what it returns."""
    with pytest.raises(DefinitionError) as caught:
        Pipe[Any, Any]().resource(func, name="db")

    assert problem in str(caught.value)


@pytest.mark.parametrize(
    "func",
    [Client, client, manager, bare, decorated, iterator, silent, lambda: Client()],
)
def test_what_may_open_a_resource_is_accepted(func: Any) -> None:
    """A class of context managers, and functions that return or yield."""
    pipe = Pipe[Any, Any]()
    pipe.resource(func, name="db")

    assert list(pipe.registry.resources) == ["db"]
