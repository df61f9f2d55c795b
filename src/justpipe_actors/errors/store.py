"""What goes wrong with remembering runs."""

from __future__ import annotations

from collections.abc import Sequence

from .base import Factual


class StoreError(Factual, Exception):
    """Something went wrong with remembering runs."""


class UnreadableDataError(StoreError):
    """Plain data do not fit the type they were to become."""

    __match_args__ = ("kind", "problem")

    def __init__(self, kind: str, problem: str) -> None:
        super().__init__(
            f"These data are no {kind}: {problem}. "
            "Read them as plain JSON, or with the version that wrote them."
        )
        self.kind = kind
        self.problem = problem


class MalformedEventError(StoreError, ValueError):
    """A text that was to be stored as an event is no JSON object."""

    __match_args__ = ("text", "problem")

    def __init__(self, text: str, problem: str) -> None:
        super().__init__(
            f"No event to store: {text!r} ({problem}). "
            "Pass the JSON text of one event object each."
        )
        self.text = text
        self.problem = problem


class AmbiguousRunError(StoreError, ValueError):
    """Several runs begin with the text that was to name one."""

    __match_args__ = ("prefix", "candidates")

    def __init__(self, prefix: str, candidates: Sequence[str]) -> None:
        shown = ", ".join(f"{run_id[:12]}..." for run_id in candidates[:5])
        super().__init__(
            f"Ambiguous run id '{prefix}': it matches {len(candidates)} runs "
            f"({shown}). Give more characters of it."
        )
        self.prefix = prefix
        self.candidates = tuple(candidates)


class CleanupRuleError(StoreError, ValueError):
    """A rule for forgetting runs has a field that makes no sense."""

    __match_args__ = ("field", "value", "expected")

    def __init__(self, field: str, value: object, expected: str) -> None:
        super().__init__(f"Cleanup: {field} must be {expected}, not {value!r}.")
        self.field = field
        self.value = value
        self.expected = expected


class StoreVersionError(StoreError):
    """A store has a schema that this version does not know how to write."""

    __match_args__ = ("path", "found", "known")

    def __init__(self, path: str, found: int, known: int) -> None:
        super().__init__(
            f"The store {path} has schema version {found} and this version of "
            f"justpipe_actors writes {known}. Upgrade, or use another storage path."
        )
        self.path = path
        self.found = found
        self.known = known
