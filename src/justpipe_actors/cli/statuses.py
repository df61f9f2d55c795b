"""The exit statuses, as the reference page lists them."""

from __future__ import annotations


FAILED = 1
"""The input was right and it did not work."""

REFUSED = 2
"""The input is wrong, and the message says how to correct it."""

SIGNALLED = 128
"""Ended by a signal, whose number is added."""

INTERRUPTED = 130
"""Ended by Ctrl-C."""

UNREAD = 141
"""Nobody reads the output any more."""
