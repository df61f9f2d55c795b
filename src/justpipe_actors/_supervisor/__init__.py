"""Many runs over a long time: who may come in, who is in, and how everybody leaves."""

from __future__ import annotations
