"""The supervisor: admission, durable runs, listeners, diagnostics and drain."""

from __future__ import annotations
