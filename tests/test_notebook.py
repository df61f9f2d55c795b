"""Displays of objects in a notebook, and their text."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import anyio
import pytest

import justpipe_actors
from justpipe_actors import Pipe, Supervisor
from justpipe_actors.errors import DefinitionError


class Handle:
    """The result of IPython's display, which can be replaced."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        """The HTML, each time."""
        self.texts: list[str] = []
        """What stands for it in a terminal."""

    def update(self, data: dict[str, str], *, raw: bool) -> None:
        """Replace what is shown."""
        assert raw
        self.shown.append(data["text/html"])
        self.texts.append(data["text/plain"])


@pytest.fixture
def displays(monkeypatch: pytest.MonkeyPatch) -> list[Handle]:
    """Make this process look like the kernel of a notebook; return its displays."""
    handles: list[Handle] = []

    def display(data: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
        assert display_id
        handles.append(Handle())
        handles[-1].update(data, raw=raw)
        return handles[-1]

    ipython: Any = ModuleType("IPython")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=object())
    module: Any = ModuleType("IPython.display")
    module.display = display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return handles


def sleeping(seconds: float = 1.0) -> Pipe[Any, Any]:
    """Return a pipe that takes some time."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="<sleeping>", log_state=False)

    @pipe.step("nap<1>", to="after")
    async def nap() -> None:
        await anyio.sleep(seconds)

    @pipe.step
    async def after(state: dict[str, Any]) -> None:
        if state.get("broken"):
            raise KeyError("missing")

    return pipe


@pytest.mark.virtual_time
async def test_a_displayed_run_shows_its_rows_and_then_its_timeline(
    displays: list[Handle],
) -> None:
    """One output is replaced until the run has ended."""
    run = sleeping().run({})
    run._ipython_display_()
    await run.wait()
    (handle,) = displays
    assert handle.shown[0] == "<p>&lt;sleeping&gt;: not begun</p>"
    rows = [html for html in handle.shown if "<td>nap&lt;1&gt;</td><td>1</td>" in html]
    assert len(rows) >= 2
    assert "success after 1.0s" in handle.shown[-1]
    assert "<iframe srcdoc=" in handle.shown[-1]
    assert "<sleeping>" not in "".join(handle.shown)
    assert handle.texts[0] == "<sleeping>: not begun"
    assert "<sleeping>: running" in handle.texts
    assert handle.texts[-1] == "success after 1.0s"


@pytest.mark.virtual_time
async def test_a_run_of_a_supervisor_can_be_displayed(displays: list[Handle]) -> None:
    """It may be displayed while it runs and again afterwards."""
    pipe = sleeping()
    async with Supervisor(pipe) as supervisor:
        run = await supervisor.submit(pipe, {"broken": True})
        await anyio.sleep(0.5)
        run._ipython_display_()
        await run.wait()
        run._ipython_display_()
    first, second = displays
    assert "at work" in first.shown[0]
    assert first.shown[-1] == second.shown[0] == run._repr_html_()
    assert "in step &#x27;after&#x27;: KeyError: &#x27;missing&#x27;" in second.shown[0]


async def test_runs_that_are_not_displayed_show_nothing(
    displays: list[Handle],
) -> None:
    """A thousand runs in a cell do not fill the page."""
    await sleeping(0).run({}).wait()
    assert displays == []


async def test_without_a_notebook_a_run_is_text() -> None:
    """IPython uses the text when the hook returns None."""
    run = sleeping(0).run({})
    with pytest.raises(NotImplementedError):
        run._ipython_display_()
    assert run._repr_html_() == "<p>&lt;RunStream not begun&gt;</p>"
    await run.wait()
    assert run._repr_html_().startswith("<p>success after ")
    assert "IPython" not in sys.modules


@pytest.mark.virtual_time
async def test_the_repr_of_runs_and_supervisors_shows_their_state() -> None:
    """It is one line."""
    pipe = sleeping()
    supervisor = Supervisor(pipe)
    assert repr(supervisor) == "<Supervisor of '<sleeping>': not open>"
    async with supervisor:
        run = await supervisor.submit(pipe, {"broken": True}, run_id="r-1")
        await anyio.sleep(0.5)
        assert repr(run) == (
            "<RunStream r-1 of '<sleeping>': running for 500ms, at work: nap<1>>"
        )
        assert repr(run.snapshot()).startswith("<RunSnapshot r-1 of '<sleeping>': ")
        assert repr(supervisor) == "<Supervisor of '<sleeping>': open, 1 run at work>"
        html = supervisor._repr_html_()
        assert "<td>r-1</td><td>&lt;sleeping&gt;</td>" in html
        assert html == supervisor.snapshot()._repr_html_()
        assert "<td>nap&lt;1&gt;</td><td>500ms</td>" in run.snapshot()._repr_html_()
        end = await run.wait()
    assert repr(end) == (
        "<PipelineEndData failed after 1.0s in step 'after': KeyError: 'missing'>"
    )
    assert "<td>nap&lt;1&gt;</td><td>1</td><td>1.0s</td>" in end._repr_html_()


async def test_a_cell_that_is_run_again_gets_the_remedy(
    displays: list[Handle],
) -> None:
    """Examples are a step that exists already, and a pipe that has run."""
    pipe = sleeping(0)
    remedy = "run the cell that makes the Pipe again"
    with pytest.raises(DefinitionError, match=remedy):
        pipe.step("after")(lambda: None)
    await pipe.run({}).wait()
    with pytest.raises(RuntimeError, match=remedy):
        pipe.step("after")(lambda: None)


async def test_outside_of_notebooks_messages_do_not_mention_cells() -> None:
    """Programs have none."""
    pipe = sleeping(0)
    with pytest.raises(DefinitionError) as caught:
        pipe.step("after")(lambda: None)
    assert "cell" not in str(caught.value)


async def test_a_supervisor_can_be_waited_for() -> None:
    """Another task goes on when the services have started and runs are admitted."""
    supervisor = Supervisor()
    seen: list[str] = []

    async def service(task_status: Any) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append("service")
        task_status.started()
        await anyio.sleep_forever()

    async def wait() -> None:
        await supervisor.wait_ready()
        seen.append("ready")
        ready.set()

    supervisor.add_service("s", service)
    ready = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        async with supervisor:
            await ready.wait()
            await supervisor.wait_ready()
    assert seen == ["service", "ready"]
    with pytest.raises(RuntimeError, match="is closed; build another one"):
        await supervisor.wait_ready()


async def test_waiting_for_a_supervisor_that_cannot_open_ends() -> None:
    """It raises an error and does not wait for ever."""
    supervisor = Supervisor()

    def fail() -> None:
        raise LookupError("no port")

    supervisor.add_service("s", fail)
    with pytest.raises(Exception, match="no port"):
        async with supervisor:
            pytest.fail("it opened")
    with pytest.raises(RuntimeError, match="is closed"):
        await supervisor.wait_ready()


def test_the_package_has_its_version() -> None:
    """It is read only on access."""
    assert justpipe_actors.__version__[0].isdigit()
    assert "__version__" in dir(justpipe_actors)
