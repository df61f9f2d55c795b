"""The version of the package that is installed; reading it takes a millisecond."""

from __future__ import annotations

from importlib.metadata import version


__version__ = version("justpipe_actors")
