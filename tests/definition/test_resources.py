"""What a resource's function tells, and which parameters stand for it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, Optional, TypeVar

import pytest

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
    """Yield, the usual way."""
    yield Db()


async def generator() -> AsyncGenerator[Db, None]:
    """Yield, the exact way."""
    yield Db()


async def iterable() -> AsyncIterable[Db]:
    """Yield, the loose way."""
    yield Db()


@contextlib.asynccontextmanager
async def decorated() -> AsyncIterator[Db]:
    """Yield, a manager already."""
    yield Db()


def manager() -> AbstractAsyncContextManager[Db]:
    """Yield, a function that returns one."""
    return decorated()


def client() -> Client:
    """Yield, a function that returns a class of managers."""
    return Client()


async def generic() -> AsyncIterator[Pool[int]]:
    """Yield, a value with a parameter."""
    yield Pool()


async def silent():  # type: ignore[no-untyped-def]  # noqa: ANN201 - that is the point
    """Yield, no annotation."""
    yield Db()


def bare() -> AbstractAsyncContextManager:  # type: ignore[type-arg]
    """Yield, a manager of something."""
    return decorated()


def number() -> int:
    """Yield, no manager at all."""
    return 1


async def unresolved() -> AsyncIterator[Nowhere]:  # type: ignore[name-defined]  # noqa: F821
    """Yield, a name that is not defined."""
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
def test_the_declared_type_of_the_value(func: Any, value_type: object) -> None:
    """It is what the iterator yields, what the manager gives, or nothing is known."""
    assert define_resource("it", func).value_type == value_type


def test_a_resources_parameters_are_other_resources() -> None:
    """Those with a default are its own business."""

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
def test_a_parameter_is_matched_by_name_and_else_by_type(
    parameter: str, hint: object, expected: tuple[str, ...]
) -> None:
    """A name is enough; a type must fit what is declared, and must not be a plain one."""
    assert matching_resources(parameter, hint, RESOURCES) == expected


def test_plain_types_choose_nothing_even_when_they_fit() -> None:
    """A resource that yields text is given by name only."""

    async def text() -> AsyncIterator[str]:
        yield ""

    resources = {"text": define_resource("text", text)}
    (hint,) = parameter_types_of(lambda url: url, "it").values()

    assert matching_resources("url", str, resources) == ()
    assert matching_resources("url", str | None, resources) == ()
    assert matching_resources("url", str | Db, resources) == ()
    assert matching_resources("url", hint, resources) == ()
