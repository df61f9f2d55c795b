"""Decides how a coroutine test runs: by its folder, and by one marker.

=========================  =======================================================
a test in ``tests/trio/``  once, by pytest-trio; its fixtures (``nursery``,
                           ``autojump_clock``) are there
any other test             twice, by anyio's plugin: on asyncio in debug mode, and
                           on trio
``virtual_time``           the same twice, on clocks that jump to the next deadline as
                           soon as every task is asleep: our own plugin's marker
=========================  =======================================================

``--quick`` leaves out slow tests, and runs on asyncio only what does not test the engine.

Both plugins keep their auto mode off.  Two automatic modes would both claim a test, so
the hook below gives each one exactly one marker before either plugin looks at it.
"""

from __future__ import annotations

import gc
import logging
import random
import signal
from collections.abc import Callable
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import trio
from justpipe_actors._engine import batch_stream

from . import overdue


TESTS = Path(__file__).parent
TRIO_ONLY = TESTS / "trio"
ENGINE = tuple(
    TESTS / name
    for name in (
        "backends",
        "engine",
        "run",
        "supervision",
        "supervisor",
        "trio",
    )
)
"""Folders whose tests run on both loops in the quick set, too."""

# Each batch of each durable run is compared with the run that it describes.
batch_stream.check_fold = True

# A busy machine is slow without being wrong; a failure must be easy to send on.
# Each run has the same examples: a change is refused for what it breaks, and not for
# what a random example finds in older code.  `nox -s search` has random examples.
settings.register_profile(
    "search",
    deadline=None,
    max_examples=1_000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "reproducible",
    settings.get_profile("search"),
    database=None,
    derandomize=True,
    max_examples=100,
)
settings.load_profile("reproducible")

# In the background of a script Ctrl-C is ignored, and that is inherited: by pytest, and
# by the programs that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def is_no_slow_callback(record: logging.LogRecord) -> bool:
    """Leave out what asyncio's debug mode says of callbacks that take long."""
    return not str(record.msg).startswith("Executing ")


# They take long on a busy machine, and many tests count the records of the log.
logging.getLogger("asyncio").addFilter(is_no_slow_callback)


BACKENDS: dict[str, Callable[[], tuple[str, dict[str, Any]]]] = {
    "asyncio": lambda: ("asyncio", {"debug": True}),
    "trio": lambda: ("trio", {}),
}


# The scope is the module's because hypothesis objects to fixtures made once for all
# the examples of a function, and anyio's own fixture has it too.
@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Every portable test runs once per value of this fixture."""
    return BACKENDS[request.param]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of the set that contributors run all day."""
    parser.addoption(
        "--quick",
        action="store_true",
        help="leave out slow tests, and trio where the engine is not tested",
    )


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Keep only the quick set, if it was requested."""
    if not config.getoption("--quick"):
        return
    left_out = [item for item in items if not is_quick(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if is_quick(item)]


def pytest_collection_finish() -> None:
    """Leave the collected tests out of garbage collections.

    perf: some tests collect garbage, and with thousands of tests in memory a collection
    takes 0.3 s (``pytest --quick``).  The tests live as long as the session.
    """
    gc.collect()
    gc.freeze()


def is_quick(item: pytest.Item) -> bool:
    """Tell whether a test belongs to the quick set."""
    if any(item.get_closest_marker(name) for name in ("slow", "soak")):
        return False
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    backend = parameters.get("anyio_backend", parameters.get("loop_backend"))
    name = backend[0] if isinstance(backend, tuple) else backend
    return name != "trio" or any(folder in item.path.parents for folder in ENGINE)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let ``random`` and trio's scheduler begin at a place that belongs to the test.

    trio takes runnable tasks in a random order.  With ``--hypothesis-seed`` the order is
    another one.
    """
    seed = f"{item.config.getoption('--hypothesis-seed')} {item.nodeid}"
    scheduler: Any = trio._core._run
    random.seed(seed)
    scheduler._r.seed(seed)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> None:
    """Mark each coroutine test for the plugin that runs it."""
    if not collector.istestfunction(obj, name):
        return
    hypothesis = getattr(obj, "hypothesis", None)
    if hypothesis is not None and not hasattr(hypothesis.inner_test, "is_noting"):
        hypothesis.inner_test = overdue.noting(hypothesis.inner_test)
    if not iscoroutinefunction(hypothesis.inner_test if hypothesis else obj):
        return
    if TRIO_ONLY in collector.path.parents:
        mark(obj, pytest.mark.trio)
        return
    mark(obj, pytest.mark.anyio)


def mark(obj: object, marker: pytest.MarkDecorator) -> None:
    """Put a marker on a test function once, however often it is collected."""
    if marker.mark not in getattr(obj, "pytestmark", ()):
        marker(obj)


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> None:
    """Report the running example before pytest-timeout ends the process."""
    overdue.watch(item.nodeid, settings.timeout)


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> None:
    """Cancel the report of a test that has ended."""
    overdue.unwatch(item.nodeid)
