"""Types of user functions that wrap steps or rewrite events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..events import Event
from ..specs import StepContext


Middleware = Callable[[Callable[..., Any], StepContext], Callable[..., Any] | None]
"""Wraps a step's function; the result is called with keyword arguments only.

``middleware.reads`` declares the options of the decorator that it reads."""

EventHook = Callable[[Event], Event]
"""Rewrites an event before observers and the consumer see it."""

Redact = Callable[[Event], Event]
"""Rewrites an event before it is stored; observers and consumer see the original."""

Wake = Callable[[Callable[[], None]], None]
"""Calls a function in a run's event loop, from any thread; no effect after its end."""
