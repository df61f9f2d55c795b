"""Storing a run that is started from the command line, whatever its pipe says."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from ..pipe import Pipe
from ..storage.places import ROOT_VARIABLE
from ..storage.registry import PipelineRegistry
from .formatting import printable


@contextmanager
def recording(
    pipe: Pipe[Any, Any], root: str | None, *, is_asked: bool
) -> Generator[bool]:
    """Let the pipe's runs be stored within this block; tell whether they are.

    Args:
        pipe: the pipe.
        root: where to; pipes within it follow.  None is where they always are.
        is_asked: whether to store; a pipe that always does is not kept from it.
    """
    before, root_before = pipe.persist, os.environ.get(ROOT_VARIABLE)
    pipe.persist = before or is_asked or root is not None
    if root is not None:
        os.environ[ROOT_VARIABLE] = root
    try:
        yield pipe.persist
    finally:
        pipe.persist = before
        if root is not None:
            os.environ.pop(ROOT_VARIABLE)
            if root_before is not None:
                os.environ[ROOT_VARIABLE] = root_before


def where_stored(run_id: str | None, root: str | None) -> str:
    """Say how to look at a stored run, or that it is not there."""
    registry = PipelineRegistry(root)
    if run_id is None or registry.resolve_run(run_id) is None:
        return f"not stored in {printable(registry.storage_dir)}"
    place = "" if root is None else f" --storage {printable(root)}"
    return f"stored; look at it with: justpipe-actors show {run_id[:8]}{place}"
