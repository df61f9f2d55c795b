"""Schedules for hypothesis, which then searches and shrinks in its own way.

::

    @given(choices=schedules())
    def test_no_update_is_lost(choices):
        replay(pipe, Account, check, choices=choices)
"""

from __future__ import annotations

from hypothesis import strategies as st

from .schedules import DELAYS


def schedules(most: int = 60) -> st.SearchStrategy[list[int]]:
    """Draw what happens at each failpoint of a run, for ``replay``.

    Args:
        most: number of failpoints at which a task may be delayed; later ones delay nothing.
    """
    return st.lists(st.integers(0, len(DELAYS) - 1), max_size=most)
