"""The dashboard: stored runs and a live supervisor in a browser.

``create_app`` returns a Starlette application for a server of yours, or to be mounted in
an application of yours.  ``dashboard_service`` serves it from inside a supervisor.  Both
need the extra: ``pip install justpipe_actors[dashboard]``.

=====================  ================================================================
``app``                puts routes, guard and state together
``guard``              decides which requests are answered
``routes, run_routes`` read the parameters of requests, call queries, return JSON
``page_routes``        returns the pages and their files
``api``                the queries of programs that were written for justpipe
``runs, run_details``  the queries of the pages about stored runs
``live``               the current state of a supervisor
``streams``            server-sent events, one producer for many readers
``serving``            the server
``static``             the pages: modules and a style sheet, served as they are
=====================  ================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import install_lazy_exports


if TYPE_CHECKING or not install_lazy_exports(
    __name__, extra="dashboard", libraries=("starlette", "anycorn")
):
    from .api import DashboardAPI as DashboardAPI
    from .app import create_app as create_app
    from .serving import dashboard_service as dashboard_service
