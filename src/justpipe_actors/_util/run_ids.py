"""Valid ids of runs: texts that are safe in file names, URLs and shells."""

from __future__ import annotations

import re

from ..errors import InvalidRunId
from .text import safe_repr


RUN_ID = re.compile(r"[A-Za-z0-9_.:-]{1,200}", re.ASCII)
"""Pattern of a run's id."""


def check_run_id(value: object) -> str:
    """Return an id that a client has chosen.

    Raises:
        InvalidRunId: no run can have it.
    """
    if isinstance(value, str) and RUN_ID.fullmatch(value):
        return value
    raise InvalidRunId(safe_repr(value, limit=60))
