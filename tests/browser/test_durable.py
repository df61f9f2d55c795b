"""The page of a durable run, before and after its process was killed."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from playwright.sync_api import Page, expect

from ..programs import code, started
from .pages import READY, open_page
from .site import served


WORKER = """
import sys, anyio
from justpipe_actors import Pipe, Supervisor
from justpipe_actors.journals import SQLiteJournal

root, is_first = sys.argv[1], sys.argv[2] == "first"
pipe = Pipe(dict, name="report", storage=root + "/store", persist=True, flush_interval=1)

@pipe.step(to="write")
async def read(state):
    await anyio.sleep(0.05)

@pipe.step
async def write(state):
    if is_first:
        print("at work", flush=True)
        await anyio.sleep_forever()

async def main():
    journal = SQLiteJournal(root + "/journal.db")
    async with Supervisor(pipe, journal=journal) as supervisor:
        if is_first:
            await supervisor.submit(pipe, {}, run_id="report-17")
            await anyio.sleep_forever()
        run = await supervisor.find("report-17")
        await run.wait()
        print("done", flush=True)

anyio.run(main)
"""

READ_BANDS = """
async () => {
  const { RunModel } = await import(new URL("static/parts/model.js", document.baseURI));
  const data = await (await fetch(new URL("api/runs/report-17/spans", document.baseURI))).json();
  return new RunModel(data).spans.map((span) => [span.label, span.status]);
}
"""


def test_a_recovered_run_shows_both_processes(page: Page, tmp_path: Path) -> None:
    """The steps at work in the killed process are interrupted; the next process is a band."""
    store = tmp_path / "store"
    store.mkdir()
    with started(code(WORKER, str(tmp_path), "first")) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "at work"
        with served(store) as site:
            open_page(page, f"{site.address}/runs")
            page.wait_for_selector("tbody a.mono")
            open_page(page, f"{site.address}/runs/report-17")
            expect(page.locator(".graph [data-path=write]")).to_have_attribute(
                "data-status", "running"
            )
            process.send_signal(signal.SIGKILL)
            process.wait()
            with started(code(WORKER, str(tmp_path), "second")) as second:
                assert second.stdout is not None
                assert second.stdout.readline().strip() == "done"

            expect(page.locator("h1 [data-status]")).to_have_text("success")
            expect(page.get_by_role("tabpanel").first).to_contain_text(
                "Taken up again by another process after"
            )
            page.reload()
            page.wait_for_selector(READY)
            expect(page.get_by_role("tabpanel").first).to_contain_text(
                "Taken up again by another process after"
            )
            spans = page.evaluate(READ_BANDS)

    assert sys.platform == "linux"
    assert spans == [["read", "done"], ["write", "interrupted"], ["write", "done"]]
