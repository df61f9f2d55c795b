"""Resources: opened once, shared by the runs, replaced when broken, closed last."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import anyio
import attrs
import pytest

from justpipe_actors import DefinitionError, Pipe, Supervisor
from justpipe_actors.errors import DefinitionErrorGroup, ResourceUnavailable
from justpipe_actors.types import FailureKind, PipelineEndData


pytestmark = pytest.mark.virtual_time


@attrs.define(eq=False)
class Db:
    """A fake database connection."""

    number: int
    is_open: bool = True
    asked: int = 0

    def query(self) -> int:
        """Return a row if the connection is open."""
        assert self.is_open
        self.asked += 1
        return self.number


class Base:
    pass


class Derived(Base):
    pass


class Client:
    closed: ClassVar[bool] = False

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *args: object) -> None:
        type(self).closed = True


@attrs.define
class Lab:
    """A pipe with one resource, and a log of the resource."""

    opening: float = 0.0
    closing: float = 0.0
    failures: int = 0
    log: list[str] = attrs.field(factory=list)
    opened: list[Db] = attrs.field(factory=list)
    opened_at: list[float] = attrs.field(factory=list)

    def pipe(self, **options: Any) -> Pipe[Any, Any]:
        """Return a pipe with the resource and no steps."""
        pipe: Pipe[Any, Any] = Pipe(dict, name="lab")

        async def db() -> AsyncIterator[Db]:
            self.opened_at.append(anyio.current_time())
            await anyio.sleep(self.opening)
            if self.failures:
                self.failures -= 1
                raise ConnectionError("no database")
            one = Db(len(self.opened) + 1)
            self.opened.append(one)
            self.log.append(f"open {one.number}")
            try:
                yield one
            finally:
                one.is_open = False
                await anyio.sleep(self.closing)
                self.log.append(f"close {one.number}")

        pipe.resource(db, **options)
        return pipe


async def finish(run: Any) -> PipelineEndData:
    """Run it to its end."""
    end: PipelineEndData = await run.wait()
    return end


# -- who gets what


async def test_a_step_receives_a_resource_by_name() -> None:
    """The parameter has the resource's name; a run without a supervisor opens and closes it."""
    lab = Lab()
    pipe = lab.pipe()

    @pipe.step
    async def s(state: dict[str, Any], db: Any) -> None:
        state["answer"] = db.query()
        lab.log.append("step")

    state: dict[str, Any] = {}
    async with pipe.run(state) as run:
        assert (await run.wait()).status.value == "success"

    assert state == {"answer": 1}
    assert lab.log == ["open 1", "step", "close 1"]


async def test_a_step_receives_a_resource_by_type() -> None:
    """The parameter has another name, and its annotation is the type of one resource."""
    lab = Lab()
    pipe = lab.pipe()

    @pipe.step
    def s(state: dict[str, Any], connection: Db) -> None:
        state["answer"] = connection.query()

    state: dict[str, Any] = {}
    await finish(pipe.run(state))

    assert state == {"answer": 1}


async def test_hooks_handlers_and_every_kind_of_step_receive_resources() -> None:  # noqa: C901 - all of them
    """One resource serves startup, step, map, worker, switch, sub, handler and shutdown."""
    lab = Lab()
    pipe = lab.pipe()
    seen: list[str] = []

    def use(who: str, db: Db) -> None:
        db.query()
        seen.append(who)

    child: Pipe[Any, Any] = Pipe(dict, name="child")
    child.step("c")(lambda state: seen.append("child"))

    @pipe.on_startup
    async def up(db: Db) -> None:
        use("startup", db)

    @pipe.step(to="m")
    async def s(db: Db) -> None:
        use("step", db)

    @pipe.map(each="w", to="r")
    def m(db: Db) -> Iterator[int]:
        for number in range(2):
            use("map", db)
            yield number

    @pipe.step
    async def w(item: int, db: Db) -> None:
        use(f"worker {item}", db)

    @pipe.switch(to={1: "u"})
    async def r(db: Db) -> int:
        use("switch", db)
        return 1

    @pipe.sub(pipeline=child, to="f")
    async def u(db: Db) -> dict[str, Any]:
        use("sub", db)
        return {}

    def mend(error: Exception, db: Db) -> None:
        use("handler", db)

    @pipe.step(on_error=mend)
    async def f() -> None:
        raise ValueError("to be mended")

    @pipe.on_shutdown
    def down(db: Db) -> None:
        use("shutdown", db)

    end = await finish(pipe.run({}))

    assert end.status.value == "success"
    steps = ["step", "map", "worker 0", "map", "worker 1", "switch", "sub", "child"]
    assert sorted(seen) == sorted(["startup", *steps, "handler", "shutdown"])
    assert lab.opened[0].asked == 10
    assert lab.log == ["open 1", "close 1"]


async def test_a_stream_and_a_thread_keep_their_resources() -> None:
    """A streaming step has its lease until the last item, a step in a thread until it returns."""
    lab = Lab()
    pipe = lab.pipe()
    tokens: list[Any] = []

    @pipe.step(to="t")
    async def s(db: Db) -> AsyncIterator[int]:
        for _ in range(3):
            await anyio.sleep(1)
            yield db.query()

    @pipe.step
    def t(db: Db) -> None:
        db.query()

    async for event in pipe.run({}):
        if event.type.value == "token":
            tokens.append(event.payload)

    assert tokens == [1, 1, 1]
    assert lab.opened[0].asked == 4


async def test_parameters_of_plain_types_are_not_taken_for_resources() -> None:
    """A worker's ``url: str`` is its item, even where a resource yields text."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    seen: list[Any] = []

    @pipe.resource
    async def base() -> AsyncIterator[str]:
        yield "http://base"

    pipe.map("m", each="w")(lambda: ["a", "b"])

    @pipe.step
    def w(url: str, base: str) -> None:
        seen.append(f"{base}/{url}")

    await finish(pipe.run({}))

    assert sorted(seen) == ["http://base/a", "http://base/b"]


async def test_a_parameter_with_the_state_type_gets_the_state() -> None:
    """This holds even if a resource fits as well."""
    pipe: Pipe[Any, Any] = Pipe(Base)
    seen: list[Any] = []

    @pipe.resource
    async def thing() -> AsyncIterator[Derived]:
        yield Derived()

    @pipe.step
    def s(mine: Base, thing: Any) -> None:
        seen.extend([mine, thing])

    state = Base()
    await finish(pipe.run(state))

    assert seen[0] is state
    assert isinstance(seen[1], Derived)


@pytest.mark.parametrize("kind", ["manager", "annotated", "class"])
async def test_a_resource_may_be_any_async_context_manager(kind: str) -> None:
    """It may be a decorated generator, a function that returns a manager, or a class."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    Client.closed = False
    seen: list[Any] = []

    @contextlib.asynccontextmanager
    async def manager() -> AsyncIterator[Client]:
        async with Client() as client:
            yield client

    def annotated() -> Client:
        return Client()

    func: Any = {"manager": manager, "annotated": annotated, "class": Client}[kind]
    pipe.resource(func, name="anything")

    @pipe.step
    def s(client: Client) -> None:
        seen.append(type(client))

    await finish(pipe.run({}))

    assert seen == [Client]
    assert Client.closed


# -- sharing


async def test_runs_of_a_supervisor_share_a_resource() -> None:
    """It is opened for the first run, kept for the others, and closed with the supervisor."""
    lab = Lab()
    pipe = lab.pipe()

    @pipe.step
    async def s(state: dict[str, Any], db: Db) -> None:
        await anyio.sleep(1)
        db.query()

    async with Supervisor() as supervisor:
        runs = [await supervisor.submit(pipe, {}) for _ in range(20)]
        for run in runs:
            await run.wait()
        await finish(pipe.run({}))
        (db,) = supervisor.snapshot().resources
        assert (db.name, db.state.value, db.incarnation, db.users) == (
            "db",
            "open",
            1,
            0,
        )
        assert lab.log == ["open 1"]

    assert lab.opened[0].asked == 21
    assert lab.log == ["open 1", "close 1"]


async def test_pipes_share_a_resource_of_the_same_function() -> None:
    """Two pipes that register one function have one connection in a supervisor."""
    opened: list[int] = []

    async def db() -> AsyncIterator[int]:
        opened.append(1)
        yield len(opened)

    pipes: list[Pipe[Any, Any]] = [Pipe(dict), Pipe(dict)]
    async with Supervisor():
        for pipe in pipes:
            pipe.resource(db)
            pipe.step("s")(lambda db: None)
            await finish(pipe.run({}))

    assert opened == [1]


async def test_concurrent_users_share_one_opening() -> None:
    """Fifty invocations that need it at once wait for the same opening."""
    lab = Lab(opening=5)
    pipe = lab.pipe()
    pipe.map("m", each="w")(lambda: range(50))
    pipe.step("w")(lambda item, db: db.query())

    await finish(pipe.run({}))

    assert len(lab.opened) == 1
    assert lab.opened[0].asked == 50


async def test_a_cancelled_user_does_not_stop_the_opening() -> None:
    """A run that is cancelled while it waits leaves the opening to the others."""
    lab = Lab(opening=5)
    pipe = lab.pipe()
    pipe.step("s")(lambda db: db.query())

    async with Supervisor() as supervisor:
        first = await supervisor.submit(pipe, {})
        await anyio.sleep(1)
        second = await supervisor.submit(pipe, {})
        await anyio.sleep(1)
        first.cancel("enough")
        assert (await first.wait()).status.value == "cancelled"
        assert (await second.wait()).status.value == "success"

    assert lab.log == ["open 1", "close 1"]


async def test_waiting_counts_for_the_steps_timeout_and_not_for_the_resource() -> None:
    """The step times out; the opening goes on, and the next step uses it."""
    lab = Lab(opening=5)
    pipe = lab.pipe()
    pipe.step("s", timeout=2)(lambda db: db.query())

    async with Supervisor() as supervisor:
        first = await finish(supervisor.run(pipe, {}))
        await anyio.sleep(4)
        second = await finish(supervisor.run(pipe, {}))

    assert first.error == "Step 's' timed out after 2s"
    assert second.status.value == "success"
    assert lab.log == ["open 1", "close 1"]


async def test_a_resource_of_an_old_version_only_is_closed_with_it() -> None:
    """Its runs finish first; a resource that the new version has too stays open."""
    log: list[str] = []

    async def shared() -> AsyncIterator[int]:
        log.append("+shared")
        yield 1
        log.append("-shared")

    def version(number: int) -> Pipe[Any, Any]:
        pipe: Pipe[Any, Any] = Pipe(dict, name="p")
        pipe.resource(shared)

        @pipe.resource(name="own")
        async def own(shared: int) -> AsyncIterator[int]:
            log.append(f"+own {number}")
            yield number
            log.append(f"-own {number}")

        @pipe.step
        async def s(state: dict[str, Any], own: int) -> None:
            await anyio.sleep(state["seconds"])

        return pipe

    async with Supervisor(version(1)) as supervisor:
        old = await supervisor.submit("p", {"seconds": 10})
        await anyio.sleep(1)
        supervisor.add_pipe(version(2))
        await finish(supervisor.run("p", {"seconds": 1}))
        assert log == ["+shared", "+own 1", "+own 2"]
        assert (await old.wait()).status.value == "success"
        await anyio.sleep(1)
        assert log == ["+shared", "+own 1", "+own 2", "-own 1"]
        supervisor.add_pipe(version(3))
        await anyio.sleep(1)
        # Version 3 has not needed anything so far, so nothing is kept for it.
        assert log[4:] == ["-own 2", "-shared"]


# -- eager


async def test_an_eager_resource_is_open_before_anything_runs() -> None:
    """In a supervisor with this pipe it is open before the services start."""
    lab = Lab(opening=5)
    pipe = lab.pipe(eager=True)
    pipe.step("s")(lambda: lab.log.append("step"))
    pipe.on_startup(lambda: lab.log.append("startup"))

    async def serve() -> None:
        lab.log.append("service")
        await anyio.sleep_forever()

    supervisor = Supervisor(pipe)
    supervisor.add_service("serve", serve)
    async with supervisor:
        await finish(pipe.run({}))

    assert lab.log == ["open 1", "service", "startup", "step", "close 1"]
    lab.log.clear()
    await finish(pipe.run({}))
    assert lab.log == ["open 2", "startup", "step", "close 2"]


async def test_an_eager_resource_that_fails_prevents_the_start() -> None:
    """The supervisor does not open; a run without one fails as in its startup."""
    lab = Lab(failures=2)
    pipe = lab.pipe(eager=True)
    pipe.step("s")(lambda: lab.log.append("step"))

    with pytest.raises(ResourceUnavailable, match="no database") as caught:
        async with Supervisor(pipe):
            pytest.fail("the block began")
    assert isinstance(caught.value.__cause__, ConnectionError)
    end = await finish(pipe.run({}))

    assert end.failure_kind is FailureKind.STARTUP
    assert "no database" in str(end.error)
    assert lab.log == []


async def test_a_broken_eager_resource_is_opened_again_at_once() -> None:
    """No step needs to ask for it."""
    lab = Lab()
    pipe = lab.pipe(eager=True)

    @pipe.step(breaks={"db": ConnectionError})
    def s(db: Db) -> None:
        raise ConnectionError("gone")

    async with Supervisor(pipe):
        await finish(pipe.run({}))
        await anyio.sleep(1)
        assert lab.log == ["open 1", "close 1", "open 2"]


async def test_a_supervisor_is_not_ready_while_an_eager_resource_is_closed() -> None:
    """Health names the resource and its error, until it is open again."""
    lab = Lab(opening=1)
    pipe = lab.pipe(eager=True)

    @pipe.step(breaks={"db": ConnectionError})
    def s(db: Db) -> None:
        raise ConnectionError("gone")

    async with Supervisor(pipe) as supervisor:
        assert supervisor.health().ready
        await finish(pipe.run({}))
        await anyio.sleep(0.5)
        health = supervisor.health()
        assert (health.live, health.ready) == (True, False)
        assert health.reasons == ("resource 'db' is opening: ConnectionError: gone",)
        await anyio.sleep(1)
        assert supervisor.health().ready


# -- trouble


async def test_a_failed_opening_fails_its_users_and_is_tried_again() -> None:
    """The steps that waited fail; the opening for a later step may succeed."""
    lab = Lab(opening=1, failures=1)
    pipe = lab.pipe()
    pipe.step("s")(lambda db: db.query())

    async with Supervisor() as supervisor:
        runs = [await supervisor.submit(pipe, {}) for _ in range(3)]
        ends = [await run.wait() for run in runs]
        later = await finish(supervisor.run(pipe, {}))

    assert {end.status.value for end in ends} == {"failed"}
    assert all("ConnectionError: no database" in str(end.error) for end in ends)
    assert later.status.value == "success"
    assert len(lab.opened_at) == 2


async def test_opening_attempts_have_growing_delays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step that asks again at once waits for at most 0.1, 0.2 and 0.4 s."""
    lab = Lab(failures=3)
    pipe = lab.pipe()
    pipe.step("s")(lambda db: db.query())

    async with Supervisor() as supervisor:
        supervisor._require_open().system.resources.jitter = lambda: 0.0
        ends = [await finish(supervisor.run(pipe, {})) for _ in range(4)]

    waits = [b - a for a, b in zip(lab.opened_at, lab.opened_at[1:], strict=False)]
    assert waits == pytest.approx([0.1, 0.2, 0.4])
    assert [end.status.value for end in ends] == ["failed"] * 3 + ["success"]


async def test_a_step_declares_which_errors_break_its_resource() -> None:
    """After other errors it stays open; after such an error the next step gets a new one."""
    lab = Lab()
    pipe = lab.pipe()

    @pipe.step(breaks={"db": (ConnectionError, EOFError)})
    async def s(state: dict[str, Any], db: Db) -> None:
        db.query()
        if "error" in state:
            raise state["error"]

    async with Supervisor() as supervisor:
        await finish(supervisor.run(pipe, {"error": ValueError("mine")}))
        await finish(supervisor.run(pipe, {}))
        assert lab.log == ["open 1"]
        group = ExceptionGroup("many", [KeyError("x"), ConnectionResetError("reset")])
        await finish(supervisor.run(pipe, {"error": group}))
        await finish(supervisor.run(pipe, {}))
        (db,) = supervisor.snapshot().resources
        assert (db.incarnation, db.retired) == (2, 0)
        assert db.last_error is not None
        assert db.last_error.startswith("ExceptionGroup")

    assert lab.log == ["open 1", "close 1", "open 2", "close 2"]


async def test_present_users_finish_with_a_broken_resource() -> None:
    """It is closed after its last user, while others already have the new one."""
    lab = Lab()
    pipe = lab.pipe()

    @pipe.step(breaks={"db": ConnectionError})
    async def s(state: dict[str, Any], db: Db) -> None:
        await anyio.sleep(state["seconds"])
        state["number"] = db.query()
        if state.get("break"):
            raise ConnectionError("gone")

    slow, quick, later = (
        {"seconds": 10},
        {"seconds": 1, "break": True},
        {"seconds": 1},
    )
    async with Supervisor() as supervisor:
        first = await supervisor.submit(pipe, slow)
        await finish(supervisor.run(pipe, quick))
        await finish(supervisor.run(pipe, later))
        assert lab.log == ["open 1", "open 2"]
        (db,) = supervisor.snapshot().resources
        assert db.retired == 1
        await first.wait()
        await anyio.sleep(1)
        assert lab.log == ["open 1", "open 2", "close 1"]

    assert (slow["number"], later["number"]) == (1, 2)


async def test_a_retry_gets_the_new_resource() -> None:
    """Each attempt takes a new lease, so it does not get the broken resource again."""
    lab = Lab()
    pipe = lab.pipe()
    seen: list[int] = []

    @pipe.step(retries=3, breaks={"db": ConnectionError})
    async def s(db: Db) -> None:
        seen.append(db.query())
        if len(seen) < 3:
            raise ConnectionError("gone")

    end = await finish(pipe.run({}))

    assert end.status.value == "success"
    assert seen == [1, 2, 3]


async def test_a_stream_and_a_generator_can_break_their_resource_too() -> None:
    """Their error comes from an item, long after the call."""
    lab = Lab()
    pipe = lab.pipe()
    breaks = {"db": ConnectionError}

    @pipe.step(to="m", on_error=lambda: None, breaks=breaks)
    async def s(db: Db) -> AsyncIterator[int]:
        yield db.query()
        raise ConnectionError("gone")

    @pipe.map(each="w", breaks=breaks)
    def m(db: Db) -> Iterator[int]:
        yield db.query()
        raise ConnectionError("gone")

    pipe.step("w")(lambda item, db: db.query())
    pipe.on_shutdown(lambda db: lab.log.append(f"shutdown {db.number}"))
    await finish(pipe.run({}))

    assert [entry for entry in lab.log if "close" not in entry] == [
        *("open 1", "open 2", "open 3", "shutdown 3")
    ]


async def test_a_resource_that_ends_by_itself_is_replaced() -> None:
    """Its own background task fails; present users finish, and the next one gets a new one."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    lives: list[int] = []

    @pipe.resource
    async def feed() -> AsyncIterator[int]:
        async def background() -> None:
            await anyio.sleep(3 if len(lives) == 1 else 1e6)
            raise EOFError("feed ended")

        async with anyio.create_task_group() as tasks:
            lives.append(len(lives))
            tasks.start_soon(background)
            yield len(lives)
            tasks.cancel_scope.cancel()

    pipe.step("s")(lambda state, feed: state.append(feed))
    state: list[int] = []
    async with Supervisor() as supervisor:
        await finish(supervisor.run(pipe, state))
        await anyio.sleep(5)
        await finish(supervisor.run(pipe, state))
        (stats,) = supervisor.snapshot().resources

    assert state == [1, 2]
    assert stats.last_error is not None
    assert "Group" in stats.last_error


async def test_an_opening_that_takes_too_long_is_given_up() -> None:
    """After ``start_timeout`` seconds the waiting steps fail."""
    lab = Lab(opening=1e6)
    pipe = lab.pipe(start_timeout=7)
    pipe.step("s")(lambda db: db.query())
    began = anyio.current_time()
    end = await finish(pipe.run({}))

    assert "was not open within 7s" in str(end.error)
    assert anyio.current_time() - began == pytest.approx(7)


async def test_a_closing_that_takes_too_long_is_cancelled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After ``shutdown`` seconds its cleanup is cancelled and logged."""
    lab = Lab(closing=1e6)
    pipe = lab.pipe(shutdown=3)
    pipe.step("s")(lambda db: db.query())
    began = anyio.current_time()
    end = await finish(pipe.run({}))

    assert end.status.value == "success"
    assert anyio.current_time() - began == pytest.approx(3)
    assert "did not close within 3s" in caplog.text


async def test_an_error_of_closing_is_only_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The status of the run stays."""
    pipe: Pipe[Any, Any] = Pipe(dict)

    @pipe.resource
    async def sore() -> AsyncIterator[int]:
        yield 1
        raise ValueError("sore")

    pipe.step("s")(lambda sore: None)
    end = await finish(pipe.run({}))

    assert end.status.value == "success"
    assert "'sore' failed to close" in caplog.text


async def connect() -> str:
    """Return a connection."""
    return "db"


def connections() -> Iterator[str]:
    """Yield a connection."""
    yield "db"


@pytest.mark.parametrize(
    ("func", "text"),
    [
        (lambda: 1, "Resource 'one' returned int; its function (test_resources.py:"),
        (lambda: 1, "Yield the value instead of returning it."),
        (lambda: connect(), "returned coroutine; its function"),
        (lambda: connect(), "Make it an async function that awaits this, and yields"),
        (lambda: connections(), "returned generator; its function"),
        (lambda: connections(), "Pass the function that yields to pipe.resource"),
    ],
)
async def test_a_resource_that_is_no_context_manager_fails_its_users(
    func: Any, text: str
) -> None:
    """The error says what the function of the resource returned, and what to do."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.resource(func, name="one")
    pipe.step("s")(lambda one: None)
    end = await finish(pipe.run({}))

    assert text in str(end.error)


# -- resources of resources


def layered(log: list[str]) -> Pipe[Any, Any]:
    """Return a pipe whose session needs a pool, which needs settings."""
    pipe: Pipe[Any, Any] = Pipe(dict)

    @pipe.resource
    async def session(pool: str) -> AsyncIterator[str]:
        log.append("+session")
        yield f"session of {pool}"
        log.append("-session")

    @pipe.resource
    async def pool(settings: str) -> AsyncIterator[str]:
        log.append("+pool")
        yield f"pool of {settings}"
        log.append("-pool")

    @pipe.resource
    async def settings() -> AsyncIterator[str]:
        log.append("+settings")
        yield "settings"
        log.append("-settings")

    return pipe


async def test_resources_may_need_resources() -> None:
    """They are opened after the ones they need and closed before, in any order of definition."""
    log: list[str] = []
    pipe = layered(log)
    pipe.step("s")(lambda state, session: state.append(session))
    state: list[str] = []
    await finish(pipe.run(state))

    assert state == ["session of pool of settings"]
    assert log == ["+settings", "+pool", "+session", "-session", "-pool", "-settings"]


async def test_a_resource_over_a_broken_one_is_replaced_too() -> None:
    """A session over a broken pool is broken; the settings below the pool are not."""
    log: list[str] = []
    pipe = layered(log)

    @pipe.step(to="after", breaks={"pool": ConnectionError}, on_error=lambda: None)
    def s(session: str, pool: str) -> None:
        raise ConnectionError("gone")

    pipe.step("after")(lambda session: None)
    await finish(pipe.run({}))

    assert log == [
        *("+settings", "+pool", "+session", "-session", "-pool"),
        *("+pool", "+session", "-session", "-pool", "-settings"),
    ]


async def test_a_resource_without_the_one_it_needs_cannot_be_opened() -> None:
    """The message names both, and the cause is the error of the first one."""
    log: list[str] = []
    pipe: Pipe[Any, Any] = Pipe(dict)

    @pipe.resource
    async def session(pool: Any) -> AsyncIterator[int]:
        yield 1

    @pipe.resource
    async def pool() -> AsyncIterator[int]:
        if log:
            yield 1
        raise ConnectionError("down")

    pipe.step("s")(lambda session: None)
    end = await finish(pipe.run({}))

    assert "'session' is unavailable" in str(end.error)
    assert "down" in str(end.error)


# -- what cannot be


def problems(pipe: Pipe[Any, Any]) -> list[str]:
    """Return the errors of a pipe."""
    with pytest.raises(DefinitionError) as caught:
        pipe.validate()
    if isinstance(caught.value, DefinitionErrorGroup):
        return [str(one) for one in caught.value.exceptions]
    return [str(caught.value)]


def test_all_problems_of_resources_are_reported_together() -> None:
    """They are an unknown need, a cycle, an ambiguous type and an unknown name in ``breaks=``."""
    pipe: Pipe[Any, Any] = Pipe(dict)

    @pipe.resource
    async def a(b: Any) -> AsyncIterator[int]:
        yield 1

    @pipe.resource
    async def b(a: Any, missing: Any) -> AsyncIterator[int]:
        yield 1

    @pipe.resource
    async def left() -> AsyncIterator[Db]:
        yield Db(1)

    @pipe.resource
    async def right() -> AsyncIterator[Db]:
        yield Db(2)

    @pipe.step(breaks={"cache": ValueError}, to="nowhere")
    def s(one: Db) -> None: ...

    @pipe.on_startup
    def up(two: Db) -> None: ...

    found = "\n".join(problems(pipe))

    assert "'s' targets unknown step 'nowhere'" in found
    assert "Resource 'b' needs 'missing', which is no resource" in found
    assert "in a circle: a -> b -> a" in found
    assert "Step 's': parameter 'one' could be any of left, right" in found
    assert "The hook on_startup up: parameter 'two' could be any of" in found
    assert "Step 's' says what breaks 'cache'" in found


def test_invalid_names_and_errors_of_resources_are_refused_at_once() -> None:
    """A name may be taken, used twice or invalid; an error may be no exception class."""
    pipe: Pipe[Any, Any] = Pipe(dict)

    async def db() -> AsyncIterator[int]:
        yield 1

    pipe.resource(db)
    with pytest.raises(DefinitionError, match="already registered"):
        pipe.resource(db)
    with pytest.raises(DefinitionError, match="cannot be called 'state'"):
        pipe.resource(db, name="state")
    with pytest.raises(DefinitionError, match="a name that a parameter can have"):
        pipe.resource(db, name="my db")
    with pytest.raises(DefinitionError, match="breaks must be a dict"):
        pipe.step("s", breaks=[ConnectionError])(lambda db: None)  # type: ignore[call-overload]
    with pytest.raises(DefinitionError, match="breaks must be a dict"):
        pipe.step("s", breaks={"db": KeyboardInterrupt})(lambda db: None)  # type: ignore[dict-item]


async def test_a_resource_that_is_defined_after_its_user_is_found() -> None:
    """One unknown parameter may be a resource that is defined later."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.step("s")(lambda state, late: state.append(late))

    @pipe.resource
    async def late() -> AsyncIterator[int]:
        yield 1

    state: list[int] = []
    await finish(pipe.run(state))

    assert state == [1]
