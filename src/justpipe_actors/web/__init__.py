"""Runs on the web: a run as server-sent events, for any ASGI application.

``event_stream`` returns what Starlette and FastAPI send as a response.  It imports
neither.
"""

from __future__ import annotations

from .event_stream import EventStream, OnDisconnect, event_stream


__all__ = ["EventStream", "OnDisconnect", "event_stream"]
