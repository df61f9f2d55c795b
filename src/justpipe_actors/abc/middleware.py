"""What may be wrapped around a step's function, or rewrite an event on its way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..events import Event
from ..specs import StepContext


Middleware = Callable[[Callable[..., Any], StepContext], Callable[..., Any] | None]
"""Wraps a step's function; the result is called with keyword arguments only.

``middleware.reads`` says which options of the decorator it reads."""

EventHook = Callable[[Event], Event]
"""Rewrites an event before observers and the consumer see it."""

Redact = Callable[[Event], Event]
"""Rewrites an event before it is stored; what is seen stays as it is."""

Wake = Callable[[Callable[[], None]], None]
"""Calls a function in a run's event loop, from any thread; nothing once it is gone."""
