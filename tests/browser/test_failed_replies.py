"""What was asked for and did not come is named, and can be asked for again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from justpipe_actors import Supervisor

from . import samples
from .pages import FAKE_STREAMS, settled, wait_quiet
from .replies import Held, fail
from .site import served


pytestmark = pytest.mark.usefixtures("forgiving")


def lose(route: Route) -> None:
    """Let no reply come."""
    route.abort()


def answer_nothing(route: Route) -> None:
    """Answer as a proxy does that does not know the page."""
    route.fulfill(status=404, body="Not Found")


FAILURES = {
    "error": (fail, "The store is busy."),
    "network": (lose, "The server cannot be reached."),
    "unknown": (answer_nothing, "Not Found"),
}


class Retried:
    """A request that fails twice, and is sent again by a button of the page."""

    def __init__(self, page: Page, held: Held, message: str) -> None:
        self.page = page
        self.held = held
        self.message = message

    def fail_twice(self, action: Callable[[], object], kind: str = "error") -> Route:
        """Let it fail in a way, then in another; return the third request."""
        how, reason = FAILURES[kind]
        how(self.held.wait(action))
        self._expect_alert(reason)
        lose(self.held.wait(self._try_again))
        self._expect_alert("The server cannot be reached.")
        return self.held.wait(self._try_again)

    def _try_again(self) -> None:
        self.page.get_by_role("button", name="Try again").click()

    def _expect_alert(self, reason: str) -> None:
        expect(self.page.get_by_role("alert")).to_have_text(f"{self.message}{reason}")


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failed_export_can_be_tried_again(
    page: Page, failed: tuple[Path, str], kind: str
) -> None:
    """The page says why nothing was saved."""
    with served(failed[0]) as site:
        settled(page, f"{site.address}/runs/{failed[1]}")
        held = Held(page, lambda url: url.endswith("/events"))
        retried = Retried(page, held, "The run was not exported: ")

        again = retried.fail_twice(
            page.get_by_role("button", name="Export JSON").click, kind
        )
        with page.expect_download():
            again.continue_()

        expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failed_comparison_can_be_tried_again(
    page: Page, failed: tuple[Path, str], kind: str
) -> None:
    """The button for it looks for the run before."""
    with served(failed[0]) as site:
        settled(page, f"{site.address}/runs/{failed[1]}")
        held = Held(page, lambda url: "/api/runs?" in url)
        retried = Retried(page, held, "The previous run was not found: ")

        again = retried.fail_twice(
            page.get_by_role("button", name="Compare with previous").click, kind
        )
        again.continue_()

        page.wait_for_url("**/compare?**")
        settled(page, page.url)


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failed_dump_can_be_tried_again(
    page: Page, tmp_path: Path, kind: str
) -> None:
    """Its dialog opens when it is there."""
    supervisor = Supervisor()
    with (
        served(tmp_path, supervisor=supervisor) as site,
        site.portal.wrap_async_context_manager(supervisor),
    ):
        settled(page, f"{site.address}/live")
        held = Held(page, lambda url: url.endswith("/dump"))
        retried = Retried(page, held, "The dump was not made: ")

        retried.fail_twice(
            page.get_by_role("button", name="Dump").click, kind
        ).continue_()

        expect(page.get_by_role("dialog", name="Dump")).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("kind", FAILURES)
def test_more_runs_that_did_not_come_can_be_loaded_again(
    page: Page, tmp_path: Path, kind: str
) -> None:
    """Those that are there stay."""
    samples.history(tmp_path, samples.approval_pipe(tmp_path), 60)
    with served(tmp_path) as site:
        settled(page, f"{site.address}/runs")
        rows = page.locator("tbody tr[data-key]")
        held = Held(page, lambda url: "before=" in url)
        retried = Retried(page, held, "More runs were not read: ")

        again = retried.fail_twice(
            page.get_by_role("button", name="Load more").click, kind
        )
        expect(rows).to_have_count(50)
        again.continue_()

        expect(rows).to_have_count(60)
        expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("is_late", [True, False])
def test_a_failure_to_load_more_goes_with_its_filter(
    page: Page, tmp_path: Path, is_late: bool
) -> None:
    """Of another filter, no more runs were asked for."""
    samples.history(tmp_path, samples.approval_pipe(tmp_path), 60)
    with served(tmp_path) as site:
        settled(page, f"{site.address}/runs")
        held = Held(page, lambda url: "before=" in url)

        request = held.wait(page.get_by_role("button", name="Load more").click)
        if not is_late:
            fail(request)
            expect(page.get_by_role("alert")).to_have_count(1)
        with page.expect_response(lambda reply: "api/runs?q=approval" in reply.url):
            page.get_by_label("Filter", exact=True).fill("approval")
        if is_late:
            fail(request)
        wait_quiet(page)

        expect(page.get_by_role("alert")).to_have_count(0)


def test_a_tab_that_could_not_be_filled_is_filled_again(
    page: Page, failed: tuple[Path, str]
) -> None:
    """Without loading the page again."""
    with served(failed[0]) as site:
        settled(page, f"{site.address}/runs/{failed[1]}")
        held = Held(page, lambda url: url.endswith("/states"))
        retried = Retried(page, held, "")

        retried.fail_twice(page.get_by_role("tab", name="State").click).continue_()

        expect(page.get_by_role("group", name="Steps that showed")).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)


def test_a_state_that_could_not_be_read_is_read_again(
    page: Page, failed: tuple[Path, str]
) -> None:
    """The list of what is in it does not stay empty."""
    with served(failed[0]) as site:
        settled(page, f"{site.address}/runs/{failed[1]}?tab=state")
        held = Held(page, lambda url: "/states?at=" in url)
        retried = Retried(page, held, "The state was not read: ")
        whole = page.locator("#panel-state details", has_text="The whole state")

        page.locator("#panel-state button.entry").last.click()
        wait_quiet(page)
        retried.fail_twice(whole.locator("summary").first.click).continue_()

        expect(whole.locator(".tree")).not_to_have_count(0)
        expect(page.get_by_role("alert")).to_have_count(0)


def test_a_failed_search_for_a_run_is_no_search_without_result(
    page: Page, typical: tuple[Path, str]
) -> None:
    """The dialog does not say that there is no such run."""
    with served(typical[0]) as site:
        settled(page, f"{site.address}/pipelines")
        held = Held(page, lambda url: "/api/runs/search?" in url)
        page.keyboard.press("Control+k")

        field = page.get_by_label("Find a run", exact=True).locator("input")
        fail(held.wait(lambda: field.fill("video")))

        note = page.get_by_role("dialog").get_by_role("status")
        expect(note).to_have_text("The store is busy.")


def show_as_running(route: Route) -> None:
    """Answer as if the run went on."""
    run = route.fetch().json()
    route.fulfill(json=run | {"is_live": True, "status": "running"})


def test_a_run_has_ended_although_its_last_steps_were_not_read(
    page: Page, failed: tuple[Path, str]
) -> None:
    """They are drawn when they come."""
    root, run_id = failed
    page.add_init_script(FAKE_STREAMS)
    with served(root) as site:
        run: dict[str, Any] = page.request.get(
            f"{site.address}/api/runs/{run_id}"
        ).json()
        page.route(lambda url: url.endswith(f"/api/runs/{run_id}"), show_as_running)
        settled(page, f"{site.address}/runs/{run_id}")
        expect(page.get_by_role("heading", level=1)).to_contain_text("running")
        held = Held(page, lambda url: "/spans?" in url)
        retried = Retried(page, held, "The last steps were not read: ")

        end = ["runs/" + run_id + "/stream", "end", run]
        again = retried.fail_twice(lambda: page.evaluate("(m) => hear(...m)", end))
        expect(page.get_by_role("heading", level=1)).to_contain_text("failed")
        again.continue_()

        expect(page.get_by_role("alert")).to_have_count(0)


def test_a_run_that_could_not_be_cancelled_says_so(
    page: Page, failed: tuple[Path, str]
) -> None:
    """It goes on, and can be cancelled again."""
    root, run_id = failed
    page.add_init_script(FAKE_STREAMS)
    with served(root) as site:
        page.route(
            lambda url: url.endswith("/api/meta"),
            lambda route: route.fulfill(
                json=route.fetch().json() | {"actions": ["cancel"]}
            ),
        )
        page.route(lambda url: url.endswith(f"/api/runs/{run_id}"), show_as_running)
        settled(page, f"{site.address}/runs/{run_id}")
        held = Held(page, lambda url: url.endswith("/cancel"))
        retried = Retried(page, held, "The run was not cancelled: ")

        again = retried.fail_twice(
            page.get_by_role("button", name="Cancel", exact=True).click
        )
        again.fulfill(json={})

        expect(page.get_by_role("alert")).to_have_count(0)


def letters(total: int) -> dict[str, Any]:
    """Return the reply about dead letters."""
    letter = {"run_id": "r", "actor": "fetch", "attempt": 1, "reason": "", "error": ""}
    rows = [letter | {"at": f"2026-01-0{n + 1}T00:00:00+00:00"} for n in range(total)]
    return {"total": total, "letters": rows}


def test_letters_that_come_while_others_are_read_are_shown(
    page: Page, tmp_path: Path
) -> None:
    """Although the supervisor, which is idle then, says nothing more."""
    supervisor = Supervisor()
    page.add_init_script(FAKE_STREAMS)
    with (
        served(tmp_path, supervisor=supervisor) as site,
        site.portal.wrap_async_context_manager(supervisor),
    ):
        settled(page, f"{site.address}/letters")
        held = Held(page, lambda url: url.endswith("/api/letters"))
        say = "(n) => hear('live/stream', 'live', { dead_letters: n })"

        first = held.wait(lambda: page.evaluate(say, 1))
        page.evaluate(say, 2)
        first.fulfill(json=letters(1))
        fail(held.wait())
        expect(page.get_by_role("alert")).to_have_text("The store is busy.")
        again = page.get_by_role("button", name="Try again")
        held.wait(again.click).fulfill(json=letters(2))

        expect(page.locator("tbody tr[data-key]")).to_have_count(2)
        expect(page.get_by_role("alert")).to_have_count(0)
