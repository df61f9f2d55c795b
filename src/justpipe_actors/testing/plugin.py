"""The pytest plugin: a marker, and fixtures for the harness, the loop and the clock.

pytest loads the plugin in every session on a machine with this package installed.  The
plugin therefore imports the package only for tests that need it, and acts only on
marked tests.

anyio's plugin runs the marked coroutine tests and async fixtures that it would run
anyway, on loops with a clock that jumps.  This plugin runs the marked coroutine tests
that no other plugin runs.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

import pytest


if TYPE_CHECKING:
    from .harness import TestPipe
    from .virtual_clock import VirtualLoop


MARKER = "virtual_time"
LOOPS = ("asyncio", "trio")
CONFLICTING_MARKERS = {
    "asyncio": "pytest-asyncio's loop has real time",
    "trio": "pytest-trio has its own fixture for it, autojump_clock",
}
"""Reasons why other plugins' tests cannot use the virtual clock, by marker."""


# -- fixtures


@pytest.fixture
def harness() -> Generator[Callable[..., TestPipe[Any, Any]]]:
    """Make a ``TestPipe`` that stands in for its pipe until the test is over.

    ``harness(pipe)`` takes what ``TestPipe`` takes.
    """
    from .harness import TestPipe

    with ExitStack() as stack:

        def make(pipe: Any, **options: Any) -> TestPipe[Any, Any]:
            return stack.enter_context(TestPipe(pipe, **options))

        yield make


@pytest.fixture(params=LOOPS)
def loop_backend(request: pytest.FixtureRequest) -> Any:
    """Return the name of an event loop; a test with this fixture runs once on each."""
    return request.param


@pytest.fixture
def virtual_loop(loop_backend: Any) -> VirtualLoop:
    """Run coroutine functions from a plain test: ``virtual_loop.run(main)``."""
    from .virtual_clock import VirtualLoop

    return VirtualLoop(loop_backend)


# -- the marker


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and enable assertion rewriting for the checks."""
    text = "sleeping takes no time; on asyncio and trio, or on the loops named"
    pytest.register_assert_rewrite("justpipe_actors.testing.conformance")
    config.addinivalue_line("markers", f"{MARKER}(*loops): {text}")


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> None:
    """Collect a marked coroutine test even if no other plugin would run it."""
    if not collector.istestfunction(obj, name) or not _is_coroutine(obj):
        return
    markers = _marker_names(collector, obj)
    if MARKER in markers and not _runs_with_anyio(collector.config, markers):
        pytest.mark.usefixtures("virtual_loop")(obj)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a marked test its loops, as a marker, which goes before a fixture's own."""
    marker = metafunc.definition.get_closest_marker(MARKER)
    if marker is None:
        return
    loops = marker.args or LOOPS
    if "anyio_backend" in metafunc.fixturenames:
        from .virtual_clock import virtual_time

        parametrize = pytest.mark.parametrize(
            "anyio_backend",
            [tuple(virtual_time(loop).values()) for loop in loops],
            ids=[f"{loop}-virtual" for loop in loops],
            scope="module",  # as that of the fixture, which others build on
        )
        metafunc.definition.add_marker(parametrize)
    elif "loop_backend" in metafunc.fixturenames and marker.args:
        parametrize = pytest.mark.parametrize("loop_backend", loops)
        metafunc.definition.add_marker(parametrize)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse a marked test that another plugin runs in real time."""
    if item.get_closest_marker(MARKER) is None:
        return
    for name, reason in CONFLICTING_MARKERS.items():
        if item.get_closest_marker(name) is not None:
            pytest.fail(
                f"virtual_time does not go with the marker {name}: {reason}. "
                f"Remove one of the two; without {name} this plugin runs the test.",
                pytrace=False,
            )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(
    pyfuncitem: pytest.Function,
) -> Generator[None, object, object]:
    """Watch a marked test for a deadlock, and run it if no other plugin does."""
    if pyfuncitem.get_closest_marker(MARKER) is None or not _is_coroutine(
        pyfuncitem.obj
    ):
        return (yield)
    test = pyfuncitem.obj
    try:
        if "anyio_backend" not in pyfuncitem.fixturenames:
            _run_in_loop(pyfuncitem)
        elif iscoroutinefunction(test):
            pyfuncitem.obj = _watched(test)
        return (yield)
    finally:
        pyfuncitem.obj = test


def _run_in_loop(item: pytest.Function) -> None:
    """Put plain functions in place of coroutine functions."""
    loop: Any = item.funcargs["virtual_loop"]
    test: Any = item.obj
    if not hasattr(test, "hypothesis"):
        item.obj = _in_loop(loop, test)
        return
    handle = test.hypothesis
    original = getattr(handle.inner_test, "__wrapped__", handle.inner_test)
    handle.inner_test = _in_loop(loop, original)


def _in_loop(loop: VirtualLoop, test: Any) -> Any:
    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        loop.run(partial(test, *args, **kwargs))

    return run


def _watched(test: Any) -> Any:
    @wraps(test)
    async def run(*args: Any, **kwargs: Any) -> None:
        from .deadlocks import watched

        with watched():
            await test(*args, **kwargs)

    return run


def _is_coroutine(test: Any) -> bool:
    hypothesis = getattr(test, "hypothesis", None)
    inner = hypothesis.inner_test if hypothesis is not None else test
    return iscoroutinefunction(getattr(inner, "__wrapped__", inner))


def _marker_names(collector: pytest.Module | pytest.Class, obj: object) -> set[str]:
    own = {marker.name for marker in getattr(obj, "pytestmark", ())}
    return own | {marker.name for marker in collector.iter_markers()}


def _runs_with_anyio(config: pytest.Config, markers: set[str]) -> bool:
    try:
        mode = config.getini("anyio_mode")
    except (KeyError, ValueError):
        mode = "strict"
    return "anyio" in markers or mode == "auto"
