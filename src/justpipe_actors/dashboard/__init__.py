"""The dashboard: stored runs and a live supervisor in a browser.

``create_app`` returns a Starlette application for a server of yours, or to be mounted in
an application of yours.  ``dashboard_service`` serves it from inside a supervisor.  Both
need the extra: ``pip install justpipe_actors[dashboard]``.

=====================  ================================================================
``app``                puts routes, guard and state together
``guard``              decides which requests are answered
``routes, run_routes`` turn requests into questions and answers into JSON
``api``                the questions that programs for justpipe ask
``runs, run_details``  the questions that the pages ask about stored runs
``live``               what a supervisor is doing now
``streams``            server-sent events, one producer for many readers
``serving``            the server
``static``             the pages: modules and a style sheet, served as they are
=====================  ================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import lazy_exports


if TYPE_CHECKING:
    from .api import DashboardAPI
    from .app import create_app
    from .serving import dashboard_service


__all__ = ["DashboardAPI", "create_app", "dashboard_service"]

_WHERE = {
    "DashboardAPI": ".api",
    "create_app": ".app",
    "dashboard_service": ".serving",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _WHERE)
