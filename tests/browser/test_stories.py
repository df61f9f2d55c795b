"""What users do with the dashboard, done in a browser."""

from __future__ import annotations

import json
import re
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from playwright.sync_api import BrowserContext, Page, expect
from starlette.applications import Starlette
from starlette.routing import Mount

from justpipe_actors import Pipe
from justpipe_actors.abc.journal_records import Batch, NewAsk, NewRun
from justpipe_actors.journals import MemoryJournal
from justpipe_actors.storage import PipelineRegistry

from ..programs import code, started
from . import samples
from .conftest import PATIENCE, Watch
from .pages import READY, open_page, settled
from .site import served


def test_the_graph_the_table_and_the_timeline_select_the_same_step(
    page: Page, failed: tuple[Path, str]
) -> None:
    """A selection in one of them is a selection in all."""
    root, run_id = failed
    with served(root) as site:
        open_page(page, f"{site.address}/runs/{run_id}")
        graph = page.locator(".graph [data-path='film_sound:master']")
        expect(graph).to_have_attribute("data-status", "failed")
        expect(page.locator(".graph [data-path='encode']")).to_have_attribute(
            "data-status", "skipped"
        )

        graph.click()

        expect(page.locator("tr.selected")).to_contain_text("film_sound:master")


def test_the_timeline_says_what_a_join_waited_for(
    page: Page, failed: tuple[Path, str]
) -> None:
    """With the keys, and in the table for readers of the screen."""
    root, run_id = failed
    with served(root) as site:
        settled(page, f"{site.address}/runs/{run_id}")
        box = page.locator(".timeline-box")
        page.locator(".timeline").focus()
        for _ in ("ingest", "probe", "script", "plan"):
            page.keyboard.press("ArrowDown")

        waited = re.compile(r"waited .+ for script, the last of 2")
        expect(box.get_by_role("status")).to_contain_text(waited)
        rows = box.get_by_role("row").filter(has_text=waited)
        expect(rows.get_by_role("cell").first).to_have_text("plan")

        page.keyboard.press("l")
        expect(box.get_by_role("status")).to_contain_text("script · done")


def test_from_the_runs_to_a_traceback_with_the_keyboard_alone(
    page: Page, failed: tuple[Path, str]
) -> None:
    """j selects the first row, Enter opens it; numbers and arrows choose tabs."""
    root, _ = failed
    with served(root) as site:
        open_page(page, f"{site.address}/runs")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url("**/runs/*")
        page.wait_for_selector(READY)
        expect(page.get_by_role("group", name="Traceback")).to_be_visible()

        page.keyboard.press("2")
        expect(page.get_by_role("tab", name="Events")).to_have_attribute(
            "aria-selected", "true"
        )
        page.get_by_role("tab", name="Events").focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name="Tokens")).to_be_focused()
        expect(page.get_by_role("region", name="Streamed text")).to_contain_text(
            "It opens on a street at night"
        )


def test_ctrl_k_finds_a_run(page: Page, failed: tuple[Path, str]) -> None:
    """The beginning of its id is enough; Enter opens it, Escape closes the dialog."""
    root, run_id = failed
    with served(root) as site:
        open_page(page, f"{site.address}/runs")
        page.keyboard.press("Control+k")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.keyboard.press("Control+k")
        page.keyboard.type(run_id[:9])
        expect(page.get_by_role("option")).to_have_count(1)
        page.keyboard.press("Enter")

        page.wait_for_url(f"**/runs/{run_id}")


@pytest.mark.parametrize(
    "tab", ["events", "tokens", "state", "metrics", "definition", "meta"]
)
def test_every_tab_of_a_run_shows_something(
    page: Page, typical: tuple[Path, str], tab: str
) -> None:
    """The address keeps the tab."""
    root, run_id = typical
    words = {
        "events": "step_start",
        "tokens": "one lamp is lit",
        "state": "After",
        "metrics": "Invocations",
        "definition": "film_sound",
        "meta": "team-media",
    }
    with served(root) as site:
        open_page(page, f"{site.address}/runs/{run_id}?tab={tab}")

        expect(page.get_by_role("tabpanel").locator("visible=true")).to_contain_text(
            words[tab]
        )


@pytest.mark.parametrize(
    ("address", "heading"),
    [
        ("runs", "Runs"),
        ("pipelines", "Pipelines"),
        ("compare", "Compare two runs"),
        ("nothing", "Not found"),
        ("runs/nothing", "Not found"),
        ("pipelines/nothing", "Not found"),
    ],
)
def test_every_page_has_one_heading_and_landmarks(
    page: Page, watch: Watch, typical: tuple[Path, str], address: str, heading: str
) -> None:
    """So has the page of an unknown address."""
    watch.allowed = ("404",)
    root, _ = typical
    with served(root) as site:
        open_page(page, f"{site.address}/{address}")

        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        expect(page.get_by_role("main")).to_have_count(1)
        expect(page.get_by_role("navigation")).to_have_count(1)


@pytest.mark.parametrize("width", [360, 390, 1024, 1440])
def test_no_page_is_wider_than_the_window(
    page: Page, typical: tuple[Path, str], width: int
) -> None:
    """Only marked elements scroll sideways."""
    root, run_id = typical
    page.set_viewport_size({"width": width, "height": 800})
    with served(root) as site:
        hash_ = PipelineRegistry(root).list_pipelines()[0].hash
        for address in (
            "runs",
            f"runs/{run_id}",
            f"runs/{run_id}?tab=events",
            "pipelines",
            f"pipelines/{hash_}?tab=stats",
            "compare",
        ):
            settled(page, f"{site.address}/{address}")
            more = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert more <= 0, address


def test_an_empty_store_says_how_to_fill_it(page: Page, tmp_path: Path) -> None:
    """The page shows a command that works."""
    with served(tmp_path) as site:
        open_page(page, f"{site.address}/runs")

        expect(page.get_by_role("main")).to_contain_text("persist=True")


# -- live


async def slow_run(root: Path, release: anyio.Event) -> None:
    """Run a pipe with a second step that waits, and then fails."""
    pipe: Pipe[Any, Any] = Pipe(
        dict, name="slow", storage=root, persist=True, flush_interval=1
    )

    @pipe.step(to="second")
    async def first() -> None:
        await anyio.sleep(0.05)

    @pipe.step
    async def second() -> None:
        await release.wait()
        msg = "the disk is full"
        raise OSError(msg)

    async with pipe.run({}) as stream:
        async for _ in stream:
            pass


def test_a_running_run_that_fails_is_followed(page: Page, tmp_path: Path) -> None:
    """The list gets it, its page shows the step at work, then the failure card."""
    with served(tmp_path) as site:
        release = site.portal.call(anyio.Event)
        open_page(page, f"{site.address}/runs")
        future = site.portal.start_task_soon(slow_run, tmp_path, release)
        page.wait_for_selector("tbody [data-status=running]")
        page.locator("tbody a.mono").first.click()
        step = page.locator(".graph [data-path=second]")
        expect(step).to_have_attribute("data-status", "running")

        site.portal.call(release.set)

        card = page.get_by_role("region", name="Why it failed")
        expect(card).to_contain_text("OSError: the disk is full")
        expect(step).to_have_attribute("data-status", "failed")
        expect(page.locator("#connection")).to_be_hidden()  # there is nothing to hear
        future.result(PATIENCE)


KILLED = """
import sys, anyio
from justpipe_actors import Pipe
pipe = Pipe(dict, name="doomed", storage=sys.argv[1], persist=True, flush_interval=1)

@pipe.step(to="second")
async def first():
    await anyio.sleep(0.01)

@pipe.step
async def second():
    print("at work", flush=True)
    await anyio.sleep_forever()

async def main():
    async with pipe.run({}) as run:
        async for _ in run:
            pass

anyio.run(main)
"""


def test_a_killed_process_is_noticed(page: Page, tmp_path: Path) -> None:
    """The page of its run says so without a reload."""
    with served(tmp_path) as site, started(code(KILLED, str(tmp_path))) as process:
        assert process.stdout is not None
        process.stdout.readline()
        open_page(page, f"{site.address}/runs")
        page.locator("tbody a.mono").click()
        expect(page.locator("h1 [data-status]")).to_have_text("running")

        process.send_signal(signal.SIGKILL)
        process.wait()

        expect(page.locator("h1 [data-status]")).to_have_text("abandoned")


def test_nine_tabs_share_one_connection(
    context: BrowserContext, watch: Watch, typical: tuple[Path, str]
) -> None:
    """All are live; with a connection each, the seventh would wait for ever."""
    root, _ = typical
    with served(root) as site:
        pages = [context.new_page() for _ in range(9)]
        for page in pages:
            open_page(page, f"{site.address}/runs")
        for page in pages:
            page.bring_to_front()
            expect(page.locator("#connection")).to_have_attribute("data-state", "live")
            page.wait_for_selector("tbody tr")

        assert site.app.state.site.streams.open == 1


NOTE_STATES = """
() => {
  const place = document.querySelector("#connection");
  globalThis.stopped = new Promise((note) => {
    const look = () => place.dataset.state === "stopped" && note(place.textContent);
    new MutationObserver(look).observe(place, { attributes: true });
  });
}
"""
"""It is seen however soon the page tries to connect again."""


def test_a_page_reconnects_to_its_server(
    page: Page, watch: Watch, tmp_path: Path
) -> None:
    """It says that the server stopped; later it shows the missed events."""
    watch.allowed = ("net::ERR_",)
    state = page.locator("#connection")
    with served(tmp_path) as site:
        site.portal.call(samples.run, samples.approval_pipe(tmp_path), {})
        open_page(page, f"{site.address}/runs")
        expect(state).to_have_attribute("data-state", "live")
        port = int(site.address.rpartition(":")[2])
        page.evaluate(NOTE_STATES)
    page.evaluate("stopped")

    with served(tmp_path, port=port, backend="trio") as site:
        site.portal.call(samples.run, samples.approval_pipe(tmp_path), {})

        expect(page.locator("tbody tr")).to_have_count(2)
        expect(state).to_have_attribute("data-state", "live")


# -- mounted below a path, and hostile data


def test_it_works_mounted_below_a_path(page: Page, failed: tuple[Path, str]) -> None:
    """Links, data, static files and streams are relative to the mount point."""
    root, run_id = failed
    with served(root, wrap=lambda app: Starlette(routes=[Mount("/a/b", app)])) as site:
        open_page(page, f"{site.address}/a/b/runs")
        expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        page.locator("tbody a.mono").first.click()
        page.wait_for_url("**/a/b/runs/*")
        page.wait_for_selector(".graph [data-path]")
        open_page(page, f"{site.address}/a/b/run/{run_id}")
        assert page.url.startswith(f"{site.address}/a/b/runs/")


HOSTILE = "<img src=x onerror=alert(1)>"


async def hostile_run(root: Path) -> str:
    """Store a run in which every text is an injection attempt."""
    texts = [
        HOSTILE,
        "</script><script>alert(2)</script>",
        "\u202egnirts\u202c",
        "\x1b[31mred",
        "${7*7}",
        "'\"`--",
    ]
    pipe: Pipe[Any, Any] = Pipe(
        dict, samples.Studio, name=f"{HOSTILE}</title>", storage=root, persist=True
    )

    @pipe.step(HOSTILE, to="javascript:alert(3)")
    async def first(state: Any, context: Any) -> Any:
        for text in texts:
            context.meta.run.add_tag(text)
            context.meta.run.set(text, text)
            state[text] = {text: [text]}
            yield text

    @pipe.step("javascript:alert(3)")
    async def second() -> None:
        raise ValueError("\n".join(texts))

    return await samples.run(pipe, {"__proto__": HOSTILE}, samples.Studio())


def test_all_texts_of_a_run_are_escaped(page: Page, tmp_path: Path) -> None:
    """On no page there is a dialog, a request or an error of the console."""
    with served(tmp_path, title=HOSTILE) as site:
        run_id = site.portal.call(hostile_run, tmp_path)
        hash_ = PipelineRegistry(tmp_path).list_pipelines()[0].hash
        tabs = (
            "timeline",
            "events",
            "tokens",
            "state",
            "metrics",
            "definition",
            "meta",
        )
        for address in (
            "runs",
            "pipelines",
            *(
                f"pipelines/{hash_}?tab={tab}"
                for tab in ("runs", "stats", "graph", "definition")
            ),
            *(f"runs/{run_id}?tab={tab}" for tab in tabs),
            f"compare?a={run_id}&b={run_id}",
        ):
            settled(page, f"{site.address}/{address}")
            assert page.locator("img, iframe, object").count() == 0, address
        open_page(page, f"{site.address}/runs/{run_id}")
        expect(page.locator("h1")).to_contain_text(HOSTILE)


def test_a_token_in_the_address_logs_in_once(
    page: Page, watch: Watch, typical: tuple[Path, str]
) -> None:
    """It is removed from the address at once."""
    watch.allowed = ("401",)
    root, _ = typical
    with served(root, token="secret words") as site:
        page.goto(f"{site.address}/runs")
        page.wait_for_url("**/login**")
        page.wait_for_selector(READY)
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_have_text("This is not the token.")

        page.goto(f"{site.address}/login#secret%20words")
        page.wait_for_url("**/runs")

        expect(page.locator("tbody tr").first).to_be_visible()


# -- a supervisor


def test_the_reason_of_a_hang_is_shown(page: Page, tmp_path: Path) -> None:
    """The Live page names the run that has the slot, and the line where it waits.

    So does the page of a run that is not stored.
    """
    program = Path(tmp_path, "daemon.py")
    program.write_text(DAEMON.replace("ROOT", repr(str(tmp_path / "store"))))
    with started([sys.executable, "-W", "ignore", str(program)]) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        open_page(page, f"{address}live")

        runs = page.get_by_role("region", name="Open runs").first
        expect(runs).to_contain_text("in the inbox of embed: its only slot is held by")
        expect(runs).to_contain_text("daemon.py:")
        page.get_by_role("button", name="embed").click()
        expect(page.get_by_role("dialog")).to_contain_text("At work: 1 of 1 slot")
        page.keyboard.press("Escape")
        runs.locator("tr", has_text="daemon.py:").locator("a.mono").first.click()
        card = page.get_by_role("region", name="What it waits for")
        expect(card).to_contain_text("daemon.py:")
        expect(page.locator(".graph [data-path=embed]")).to_have_attribute(
            "data-status", "running"
        )
        expect(page.get_by_role("region", name="Steps").first).to_contain_text("fetch")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


DAEMON = """
import logging
import anyio
from justpipe_actors import Pipe, Supervisor
from justpipe_actors.daemon import serve
from justpipe_actors.dashboard import dashboard_service
from justpipe_actors.storage import PipelineRegistry

pipe = Pipe(dict, name="ingest")

@pipe.step(to="embed")
async def fetch():
    await anyio.sleep(0.01)

@pipe.step(concurrency=1)
async def embed():
    await anyio.sleep(3600)

class Address(logging.Handler):
    def emit(self, record):
        self.text = record.args[0]

address = Address()
log = logging.getLogger("justpipe_actors.dashboard")
log.addHandler(address)
log.setLevel("INFO")
supervisor = Supervisor(pipe, max_runs=5, grace=0.1)
registry = PipelineRegistry(ROOT)
supervisor.add_service("dashboard", dashboard_service(supervisor, port=0, registry=registry))

async def traffic(task_status):
    task_status.started()
    for _ in range(3):
        await supervisor.submit(pipe, {})
    print(address.text, flush=True)
    await task_status.stopping.wait()

supervisor.add_service("traffic", traffic, restart="temporary")
anyio.run(serve, supervisor, backend="trio")
"""


def test_runs_that_wait_for_a_person_are_open_and_take_no_place(
    page: Page, tmp_path: Path
) -> None:
    """The Live page counts them, and says how many places are taken."""
    program = Path(tmp_path, "daemon.py")
    asking = DAEMON.replace("await anyio.sleep(3600)", "await ask(bool, key='go')")
    asking = asking.replace("import Pipe, Supervisor", "import Pipe, Supervisor, ask")
    program.write_text(asking.replace("ROOT", repr(str(tmp_path / "store"))))
    with started([sys.executable, "-W", "ignore", str(program)]) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        open_page(page, f"{address}live")

        tiles = page.locator("dl.tiles")
        expect(tiles).to_contain_text("Open runs3")
        expect(tiles).to_contain_text("Places taken0 of 5")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_an_ask_is_answered_on_the_page(page: Page, tmp_path: Path) -> None:
    """A form is made from its schema, the answer reaches the journal, and the card shows it."""
    journal = asking_journal()
    options: dict[str, Any] = {"read_only": False, "actions": {"answer"}, "token": "t"}
    with served(tmp_path, journal=journal, **options) as site:
        page.goto(f"{site.address}/login#t")
        page.wait_for_url("**/runs")
        open_page(page, f"{site.address}/asks")
        card = page.get_by_role("region", name="Publish the report?")
        card.get_by_label("decision").select_option("publish")
        card.get_by_label("pages").fill("3")
        page.reload()
        page.wait_for_selector(READY)
        expect(card.get_by_label("pages")).to_have_value("3")  # the draft was kept
        card.get_by_label("decision").select_option("publish")
        card.get_by_role("button", name="Answer").click()

        expect(card).to_contain_text('Answered: {"decision":"publish","pages":3}')
        open_page(page, f"{site.address}/workers")
        expect(page.get_by_role("region", name="Open runs")).to_contain_text(
            "report-17"
        )
    assert journal.asks() == []


def asking_journal() -> MemoryJournal:
    """Return a journal with a run that asks."""
    journal = MemoryJournal()
    journal.open()
    add_question(journal, "report-17", "Publish the report?")
    return journal


def add_question(journal: MemoryJournal, run_id: str, note: str) -> None:
    """Add a run that asks whether to publish."""
    new = NewRun(run_id=run_id, pipe="report", fingerprint="f", input="{}")
    claim = journal.submit(new, journal.add_worker("here/1")).claim
    assert claim is not None
    form = {
        "type": "object",
        "properties": {
            "decision": {"enum": ["publish", "reject"]},
            "pages": {"type": "integer", "minimum": 1},
        },
        "required": ["decision", "pages"],
    }
    ask = NewAsk(
        id=f"{run_id}:review:publish",
        step="review",
        note=note,
        form=json.dumps(form),
    )
    journal.append([Batch(run=claim.run.id, n=claim.n + 1, kind="commit", asks=(ask,))])
