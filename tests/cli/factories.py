"""Functions that make pipes, for tests of the command line."""

from __future__ import annotations

from typing import Any

import msgspec

from justpipe_actors import Pipe


class Order(msgspec.Struct):
    """A state that is a struct of msgspec."""

    item: str
    count: int = 1


def build() -> Pipe[Order, None]:
    """Return a pipe with this struct as its state."""
    pipe: Pipe[Order, None] = Pipe(Order, name="order")

    @pipe.step
    async def take(state: Order) -> Any:
        if state.count > 9:
            raise KeyError("missing")
        yield f"{state.count} {state.item}\n"

    return pipe


def build_for(name: str) -> Pipe[Order, None]:
    """Take an argument, as no factory may."""
    raise NotImplementedError(name)


def build_nothing() -> None:
    """Return no pipe."""


def build_badly() -> Pipe[Order, None]:
    """Raise an error."""
    msg = "no such table"
    raise LookupError(msg)
