"""Tests that each run of the tests has the same random numbers and examples."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

import trio


def test_random_numbers_depend_on_the_test_alone(
    request: pytest.FixtureRequest,
) -> None:
    """A test has the same schedules on trio alone and after thousands of others."""
    seed = f"{request.config.getoption('--hypothesis-seed')} {request.node.nodeid}"
    first = random.Random(seed).random()
    scheduler: Any = trio._core._run
    assert (random.random(), scheduler._r.random()) == (first, first)


def test_examples_are_the_same_in_each_run() -> None:
    """A change is not refused for an example that was not tried before."""
    seen: list[str] = []

    @settings(settings.get_profile("reproducible"))
    @given(st.text())
    def note(text: str) -> None:
        seen.append(text)

    note()
    first = tuple(seen)
    seen.clear()
    note()
    assert tuple(seen) == first
    assert len(set(first)) > 50
