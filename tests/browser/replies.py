"""Answers the requests of a page when a test says so, and as it says."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, Route


FAILED = 503


class Held:
    """Requests of a page that are answered when the test says so."""

    def __init__(self, page: Page, is_held: Callable[[str], bool]) -> None:
        self._page = page
        self._routes: list[Route] = []
        page.route(is_held, self._hold)

    def _hold(self, route: Route) -> None:
        self._routes.append(route)

    def wait(self, action: Callable[[], object] = lambda: None) -> Route:
        """Do something that makes the page send a request, and return the request."""
        action()
        while not self._routes:
            self._page.wait_for_timeout(10)  # playwright calls ``_hold`` meanwhile
        return self._routes.pop()


def fail(route: Route) -> None:
    """Answer a request with an error."""
    route.fulfill(status=FAILED, json={"detail": "The store is busy.", "code": "busy"})
