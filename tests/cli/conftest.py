"""The command line is an extra: without it there is nothing here to test."""

from __future__ import annotations

from importlib.util import find_spec


collect_ignore_glob = [] if find_spec("click") and find_spec("rich") else ["test_*.py"]
