"""The definition of a pipe, checked and compiled when that is first needed."""

from __future__ import annotations

from typing import Any

from .._definition.decorators import Target
from .._definition.names import start_of
from .._definition.registry import Registry
from . import checks
from .compile import Settings, compile_plan
from .nodes import Plan
from .question import Question
from .spelling import read_by


class Compiled:
    """The half of a ``Pipe`` that knows what it compiles to.

    Both answers are kept for as long as the definition stays as it is.
    """

    registry: Registry
    """The definition."""
    strict: bool
    """Whether doubts are errors."""
    allow_multi_root: bool
    """Whether several roots are meant."""
    state_type: Any
    """The pipe's state type."""
    _settings: Settings
    _plan: tuple[int, Plan] | None
    _validated: set[tuple[int, str | None, bool, bool]]

    def validate(
        self,
        start: Target | None = None,
        strict: bool | None = None,  # noqa: FBT001 - the reference's signature
        allow_multi_root: bool | None = None,  # noqa: FBT001
    ) -> None:
        """Check the definition; all problems are reported together.

        Raises:
            DefinitionError: there is one; a ``DefinitionErrorGroup`` for several.
        """
        if strict is None:
            strict = self.strict
        if allow_multi_root is None:
            allow_multi_root = self.allow_multi_root
        question = Question(
            steps=self.registry.steps,
            state_type=self.state_type,
            start=start_of(start),
            strict=strict,
            allow_multi_root=allow_multi_root,
            resources=self.registry.resources,
            hooks=self.registry.specs,
            readable=read_by(self.registry.middleware),
        )
        checks.validate(question)

    def plan(self) -> Plan:
        """Return the compiled pipeline; compiled once per version of the definition.

        Raises:
            DefinitionError: it cannot be compiled.
        """
        version = self.registry.version
        if self._plan is None or self._plan[0] != version:
            self._plan = (version, compile_plan(self.registry, self._settings))
        return self._plan[1]

    def _validate_once(self, start: str | None) -> None:
        key = (self.registry.version, start, self.strict, self.allow_multi_root)
        if key not in self._validated:
            self.validate(start=start)
            self._validated.add(key)

    def _forget(self) -> None:
        self._plan = None
        self._validated = set()
