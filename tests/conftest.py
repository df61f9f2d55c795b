"""Decides how a coroutine test runs: by its folder, and by one marker.

=========================  =======================================================
a test in ``tests/trio/``  once, by pytest-trio; its fixtures (``nursery``,
                           ``autojump_clock``) are there
any other test             twice, by anyio's plugin: on asyncio in debug mode, and
                           on trio
``virtual_time``           the same twice, on ``justpipe_actors.testing``'s clocks,
                           which jump to the next deadline when every task is asleep
=========================  =======================================================

Both plugins keep their auto mode off.  Two automatic modes would both claim a test, so
the hook below gives each one exactly one marker before either plugin looks at it.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from justpipe_actors.testing import BackendOptions, virtual_time


TRIO_ONLY = Path(__file__).parent / "trio"

# A busy machine is slow without being wrong; a failure must be easy to send on.
settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")


def pair(options: BackendOptions) -> tuple[str, dict[str, Any]]:
    """Return what anyio's plugin calls a backend."""
    return options["backend"], options["backend_options"]


BACKENDS: dict[str, Callable[[], tuple[str, dict[str, Any]]]] = {
    "asyncio": lambda: ("asyncio", {"debug": True}),
    "trio": lambda: ("trio", {}),
    "asyncio-virtual": lambda: pair(virtual_time("asyncio")),
    "trio-virtual": lambda: pair(virtual_time("trio")),
}


# The scope is the module's because hypothesis objects to fixtures made once for all
# the examples of a function, and anyio's own fixture has it too.
@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Every portable test runs once per value of this fixture."""
    return BACKENDS[request.param]()


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> None:
    """Mark each coroutine test for the plugin that shall run it."""
    if not collector.istestfunction(obj, name):
        return
    hypothesis = getattr(obj, "hypothesis", None)
    if not iscoroutinefunction(hypothesis.inner_test if hypothesis else obj):
        return
    if TRIO_ONLY in collector.path.parents:
        mark(obj, pytest.mark.trio)
        return
    mark(obj, pytest.mark.anyio)
    if has_marker(collector, obj, "virtual_time"):
        backends = ["asyncio-virtual", "trio-virtual"]
        mark(
            obj,
            pytest.mark.parametrize(
                "anyio_backend", backends, indirect=True, scope="module"
            ),
        )


def mark(obj: object, marker: pytest.MarkDecorator) -> None:
    """Put a marker on a test function, once, however often it is collected."""
    if marker.mark not in getattr(obj, "pytestmark", ()):
        marker(obj)


def has_marker(collector: pytest.Collector, obj: object, name: str) -> bool:
    """Tell whether a test, its class or its module carries the marker."""
    own = {marker.name for marker in getattr(obj, "pytestmark", ())}
    return name in own or collector.get_closest_marker(name) is not None
