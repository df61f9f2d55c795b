"""Random pipelines of all kinds of nodes, the same for the same seed.

Each function changes the state after its last await, so what a commit holds is what
ended steps have done, and recovery is exact.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import attrs

from justpipe_actors import Ask, Pipe, Retry, Skip, Stop, ask, once, sleep_until
from justpipe_actors.abc import OpenAsk
from justpipe_actors.errors import AskTimeout
from justpipe_actors.types import _Map


State = dict[str, Any]
Log = Callable[[str], object]
Expired = dict[str, Callable[[], int]]
"""How often joins have expired, by the note of the question that waits for it.

In a pipeline that may stop, joins do not expire afterwards, and "" is among the keys."""

KINDS = (
    ["step"] * 4
    + ["map", "map", "range", "lazy", "stream", "nested", "skip", "fail", "loop"]
    + ["retry", "handled", "late", "sub", "own_sub", "switch", "stop", "rescue_map"]
)

WAIT_KINDS = [
    "ask",
    "ask_between",
    "ask_map",
    "nap",
    "timer",
    "unanswered",
    "escalated",
    "once",
    "expiring",
]
"""Kinds of nodes that wait for answers and moments; their runs need answers."""

MOMENT = 0.02
"""Seconds of a timer."""


@attrs.frozen
class Graph:
    """A random pipeline."""

    pipe: Pipe[Any, Any]
    """The pipeline."""
    ends_early: bool
    """Whether what else has finished at its end depends on timing."""
    stops: bool
    """Whether one of its steps stops the run."""
    expired: Expired
    """How often its joins have expired, as the run at work knows it."""
    expires: bool
    """Whether a join of it expires before a question is answered."""


@attrs.define
class _Builder:
    rng: random.Random
    log: Log
    pipe: Pipe[Any, Any]
    ends_early: bool = False
    expires: bool = False
    kinds: list[str] = attrs.field(factory=lambda: KINDS)
    expired: Expired = attrs.field(factory=dict)

    def visit(self, state: State, name: str, item: object = None) -> None:
        key = name if item is None else f"{name}[{item}]"
        counts = state.setdefault("count", {})
        counts[key] = counts.get(key, 0) + 1

    def add(self, name: str, to: list[str], kind: str) -> None:
        delay = self.rng.choice([0, 0, 0.001, 0.002])
        match kind:
            case "map" | "range" | "lazy" | "stream" | "nested":
                self.add_map(name, to, kind, delay)
            case "sub" | "own_sub":
                self.add_sub(name, to, kind)
            case "expiring":
                self.add_expiring(name, to)
            case _ if kind in WAIT_KINDS:
                self.add_waiting(name, to, kind, delay)
            case "switch" if to:
                self.add_switch(name, to)
            case _:
                self.add_step(name, to, kind, delay)

    def add_step(self, name: str, to: list[str], kind: str, delay: float) -> None:
        back = f"s{self.rng.randint(0, int(name[1:]))}"
        if kind == "stop":
            self.ends_early = True
        options: dict[str, Any] = {}
        if kind == "handled":
            options["on_error"] = self.handler(name)
        if kind == "rescue_map":
            self.add_worker(f"w{name}", 0.001, None)
            options["on_error"] = self.map_handler(name)
        if kind == "late":
            options["barrier_timeout"] = 60

        async def func(state: State) -> object:
            self.log(name)
            await anyio.sleep(delay)
            if kind in {"handled", "rescue_map"}:  # a handler awaits after this
                raise ValueError(name)
            self.visit(state, name)
            count = state["count"][name]
            if kind == "fail":
                raise ValueError(name)
            if kind == "retry" and count < 3:
                return Retry()
            if kind == "loop" and count < 3:
                return back
            return {"skip": Skip(), "stop": Stop()}.get(kind)

        self.pipe.step(name, to=to, **options)(func)

    def handler(self, name: str) -> Callable[..., object]:
        async def rescue(state: State, error: Exception) -> object:
            self.log(f"rescue {name}")
            await anyio.lowlevel.checkpoint()
            self.visit(state, f"rescue {name}")
            return None

        return rescue

    def map_handler(self, name: str) -> Callable[..., object]:
        async def rescue(state: State, error: Exception) -> object:
            self.log(f"rescue {name}")
            await anyio.lowlevel.checkpoint()
            self.visit(state, f"rescue {name}")
            return _Map([1, 2, 3], f"w{name}")

        return rescue

    def add_worker(self, name: str, delay: float, bad: int | None) -> None:
        async def worker(state: State, item: int) -> None:
            self.log(f"{name}[{item}]")
            await anyio.sleep(delay * (item % 3))
            self.visit(state, name, item)
            if item == bad:
                msg = "bad item"
                raise ValueError(msg)

        self.pipe.step(name)(worker)

    def add_map(self, name: str, to: list[str], kind: str, delay: float) -> None:
        size, bad = self.rng.randint(0, 6), self.rng.choice([None, None, 1])
        window = self.rng.choice([None, 1, 2])
        worker = f"w{name}"
        if kind == "nested":
            self.add_worker(f"w{worker}", delay, bad)

            async def inner(state: State, item: int) -> list[int]:
                self.log(f"{worker}[{item}]")
                await anyio.sleep(delay)
                self.visit(state, worker, item)
                return [item * 10 + n for n in range(2)]

            self.pipe.map(worker, each=f"w{worker}", max_concurrency=window)(inner)
        else:
            self.add_worker(worker, delay, bad)

        async def source(state: State) -> object:
            self.log(name)
            await anyio.sleep(delay)
            if kind == "lazy":
                return lazy(size)
            self.visit(state, name)
            return range(size) if kind == "range" else list(range(size))

        async def stream(state: State) -> AsyncIterator[int]:
            self.log(name)
            for item in range(size):
                await anyio.sleep(delay / 2)
                yield item

        func = stream if kind == "stream" else source
        self.pipe.map(name, each=worker, to=to, max_concurrency=window)(func)

    def add_waiting(self, name: str, to: list[str], kind: str, delay: float) -> None:
        """Add a step that waits in its function, or before the next step."""
        if kind in {"ask_between", "timer", "escalated", "ask_map"}:
            self.add_waiting_between(name, to, kind, delay)
            return

        async def func(state: State) -> None:
            self.log(name)
            await anyio.sleep(delay)
            found: object = None
            if kind == "ask":
                found = await ask(int, key="q")
            elif kind == "nap":
                await sleep_until(MOMENT, key="nap")
            elif kind == "once":
                found = await once("made", lambda: name)
                await anyio.sleep(delay)
            else:
                try:
                    await ask(int, key="never", timeout=MOMENT)
                except AskTimeout:
                    found = "late"
            self.visit(state, name, found)

        self.pipe.step(name, to=to)(func)

    def add_waiting_between(
        self, name: str, to: list[str], kind: str, delay: float
    ) -> None:
        then = f"a{name}"
        every: dict[str, dict[str, Any]] = {
            "ask_between": {"form": int, "to": then, "key": "q"},
            "ask_map": {"form": int, "to": then, "key": "q"},
            "timer": {"form": None, "to": then, "timeout": MOMENT},
            "escalated": {
                "form": int,
                "to": then,
                "timeout": MOMENT,
                "on_timeout": f"b{name}",
                "key": "never",
            },
        }
        options = every[kind]

        async def asking(state: State) -> Ask:
            self.log(name)
            await anyio.sleep(delay)
            self.visit(state, name)
            return Ask(**options)

        async def source(state: State) -> list[int]:
            self.log(name)
            self.visit(state, name)
            return [0, 1, 2]

        async def worker(state: State, item: int) -> Ask:
            self.log(f"w{name}[{item}]")
            await anyio.sleep(delay)
            self.visit(state, f"w{name}", item)
            return Ask(**options)

        async def answered(state: State, answer: int) -> None:
            self.log(f"{then}[{answer}]")
            await anyio.sleep(delay)
            self.visit(state, then, answer)

        async def moved_on(state: State) -> None:
            self.log(then)
            self.visit(state, then)

        async def late(state: State) -> None:
            self.log(f"b{name}")
            self.visit(state, f"b{name}")

        if kind == "ask_map":
            self.pipe.step(f"w{name}", routes=[then])(worker)
            self.pipe.map(name, each=f"w{name}", to=to)(source)
            self.pipe.step(then)(answered)
            return
        routes = [then, f"b{name}"] if kind == "escalated" else [then]
        self.pipe.step(name, routes=routes)(asking)
        self.pipe.step(then, to=to)(moved_on if kind == "timer" else answered)
        if kind == "escalated":
            self.pipe.step(f"b{name}", to=to)(late)

    def add_expiring(self, name: str, to: list[str]) -> None:
        """Add a join that times out, because a parent asks until then."""
        tag = self.rng.randrange(1_000_000)
        self.expires = True

        async def begin(state: State) -> None:
            self.log(name)
            self.visit(state, name)

        async def quick(state: State) -> None:
            self.log(f"q{name}")
            self.visit(state, f"q{name}")

        async def slow(state: State) -> None:
            self.log(f"p{name}")
            self.expired[str(tag)] = lambda: state["count"].get(f"rescue j{name}", 0)
            answer = await ask(int, f"{EXPIRED}{tag}", key="q")
            self.visit(state, f"p{name}", answer)

        async def join(state: State) -> None:
            self.log(f"j{name}")
            self.visit(state, f"j{name}")

        async def expired(state: State, error: Exception) -> None:
            self.visit(state, f"rescue j{name}")
            self.log(f"rescue j{name}")

        self.pipe.step(name, to=[f"q{name}", f"p{name}"])(begin)
        self.pipe.step(f"q{name}", to=f"j{name}")(quick)
        self.pipe.step(f"p{name}", to=f"j{name}")(slow)
        options: Any = {"barrier_timeout": MOMENT, "on_error": expired}
        self.pipe.step(f"j{name}", to=to, **options)(join)

    def add_sub(self, name: str, to: list[str], kind: str) -> None:
        child: Pipe[Any, Any] = Pipe(
            dict, name=f"child {name}", strict=False, allow_multi_root=True
        )
        inside = _Builder(
            self.rng,
            lambda text: self.log(f"{name}:{text}"),
            child,
            expired=self.expired,
        )
        size = self.rng.randint(1, 3)
        for number in range(size):
            then = [f"s{number + 1}"] if number + 1 < size else []
            kinds = ["step", "step", "map", "fail", "skip", "lazy"]
            if self.kinds is not KINDS:
                kinds += ["ask", "ask_between", "timer", "expiring"]
            inside.add(f"s{number}", then, self.rng.choice(kinds))
        self.expires = self.expires or inside.expires

        async def func(state: State) -> State:
            self.log(name)
            await anyio.lowlevel.checkpoint()
            self.visit(state, name)
            if kind == "own_sub":
                return {"own": True}
            return state.setdefault(f"child {name}", {})  # type: ignore[no-any-return]

        self.pipe.sub(name, child, to=to)(func)

    def add_switch(self, name: str, to: list[str]) -> None:
        async def func(state: State) -> int:
            self.log(name)
            await anyio.lowlevel.checkpoint()
            self.visit(state, name)
            return len(to) - 1

        self.pipe.switch(name, to=dict(enumerate(to)), default=to[0])(func)


def lazy(size: int) -> Iterator[int]:
    """Return a source that cannot be stored."""
    yield from range(size)


EXPIRED = "expired: "
"""Begins the note of a question that is answered when a join has expired."""


def answer_of(asked: OpenAsk, expired: Expired) -> int | None:
    """Return the answer to a question; None if it is not to be answered yet.

    Args:
        asked: the question.
        expired: of the graph.
    """
    key, _, number = asked.id.rpartition(":")[2].partition("#")
    if key == "never":
        return None
    if asked.note.startswith(EXPIRED) and "" not in expired:
        times = expired.get(asked.note.removeprefix(EXPIRED), lambda: 0)
        if times() < int(number or 1):
            return None
    return len(asked.step) * 10 + int(asked.step[-1])


def build(seed: int, log: Log, *, waits: bool = False) -> Graph:
    """Return the random pipeline of a seed.

    Args:
        seed: chooses it.
        log: told of each call of a function.
        waits: whether steps wait for answers and moments, too.
    """
    rng = random.Random(seed)
    kinds = [*KINDS, *WAIT_KINDS, *WAIT_KINDS] if waits else KINDS
    count = rng.randint(3, 8)
    policy: Any = rng.choice(["prune", "prune", "continue", "stop"])
    pipe: Pipe[Any, Any] = Pipe(
        dict,
        name="random",
        strict=False,
        allow_multi_root=True,
        on_failure=policy,
        max_retries=10,
    )
    edges: dict[int, set[int]] = {number: set() for number in range(count)}
    for number in range(1, count):
        for parent in rng.sample(range(number), min(number, rng.choice([1, 1, 2, 3]))):
            edges[parent].add(number)
    builder = _Builder(rng, log, pipe, kinds=kinds)
    for number in reversed(range(count)):
        to = [f"s{target}" for target in sorted(edges[number])]
        builder.add(f"s{number}", to, rng.choice(kinds))
    if builder.ends_early:
        builder.expired[""] = lambda: 0
    return Graph(
        pipe,
        builder.ends_early or policy == "stop",
        builder.ends_early,
        builder.expired,
        builder.expires,
    )
