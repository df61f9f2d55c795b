"""The measured programs as users of llama-index-workflows write them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from workflows import Context, Workflow, step
from workflows.events import Event, StartEvent, StopEvent


Once = Callable[[], Awaitable[int]]


class Token(Event):
    """A streamed value."""

    value: int


def new_event(name: str) -> Any:
    """Return a new type of event: steps are connected by types."""
    return type(name, (Event,), {"__module__": __name__})


def add_step(flow: Any, name: str, taken: Any, given: Any, body: Any = None) -> None:
    """Add a step that takes one type of event and returns another."""

    async def run(ctx: Any, ev: Any) -> Any:
        return given() if body is None else await body(ctx, ev)

    run.__name__ = run.__qualname__ = name
    run.__annotations__ = {"ctx": Context, "ev": taken, "return": given}
    step(workflow=flow, num_workers=16)(run)


def join(taken: Any, count: int, given: Any) -> Any:
    """Return the body of a step that waits for several events of one type."""

    async def body(ctx: Any, ev: Any) -> Any:
        return given() if ctx.collect_events(ev, [taken] * count) else None

    return body


def send(kinds: list[Any]) -> Any:
    """Return the body of a step that sends several events."""

    async def body(ctx: Any, ev: Any) -> None:
        for kind in kinds:
            ctx.send_event(kind())

    return body


def new_flow() -> Any:
    """Return a new class of workflows without steps."""
    return type("Flow", (Workflow,), {"__module__": __name__})


def program(flow: Any) -> Once:
    """Return a function that runs a workflow once and reads its events."""
    workflow = flow(timeout=None)

    async def once() -> int:
        handler = workflow.run()
        count = 0
        async for _ in handler.stream_events():
            count += 1
        await handler
        return count

    return once


def chain(length: int) -> Any:
    """Build steps in a row."""
    flow = new_flow()
    kinds = [StartEvent, *(new_event(f"E{n}") for n in range(length - 1)), StopEvent]
    for number in range(length):
        add_step(flow, f"s{number}", kinds[number], kinds[number + 1])
    return flow


def fan() -> Any:
    """Build one step, 100 beside each other, and a join."""
    flow, done = new_flow(), new_event("Done")
    kinds = [new_event(f"B{number}") for number in range(100)]
    union: Any = kinds[0]
    for number, kind in enumerate(kinds):
        union = union | kind
        add_step(flow, f"b{number}", kind, done)
    add_step(flow, "first", StartEvent, union | None, send(kinds))
    add_step(flow, "last", done, StopEvent | None, join(done, 100, StopEvent))
    return flow


def diamonds() -> Any:
    """Build 40 diamonds in a row."""
    flow, taken = new_flow(), StartEvent
    for number in range(40):
        left, right, done = (new_event(f"{side}{number}") for side in ("L", "R", "D"))
        given = StopEvent if number == 39 else new_event(f"A{number}")
        add_step(flow, f"a{number}", taken, left | right | None, send([left, right]))
        add_step(flow, f"b{number}", left, done)
        add_step(flow, f"c{number}", right, done)
        add_step(flow, f"d{number}", done, given | None, join(done, 2, given))
        taken = given
    return flow


def map_items() -> Any:
    """Build a map over 900 items."""
    flow, item, done = new_flow(), new_event("Item"), new_event("Done")
    add_step(flow, "source", StartEvent, item | None, send([item] * 900))
    add_step(flow, "worker", item, done)
    add_step(flow, "last", done, StopEvent | None, join(done, 900, StopEvent))
    return flow


def tokens() -> Any:
    """Build a step that streams."""

    async def body(ctx: Any, ev: Any) -> Any:
        for number in range(20_000):
            ctx.write_event_to_stream(Token(value=number))
        return StopEvent()

    flow = new_flow()
    add_step(flow, "speak", StartEvent, StopEvent, body)
    return flow


PROGRAMS: dict[str, Callable[[], Once]] = {
    "chain": lambda: program(chain(200)),
    "fan": lambda: program(fan()),
    "diamonds": lambda: program(diamonds()),
    "map": lambda: program(map_items()),
    "tokens": lambda: program(tokens()),
    "small": lambda: program(chain(3)),
}
"""By name: make the function that runs the program once."""
