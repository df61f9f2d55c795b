"""The pipes of a supervisor by name, and the version of each that new runs get.

A changed pipe is a new ``Pipe`` of the same name.  Adding it only changes what the name
refers to: a run keeps its plan, so the runs at work finish on the old version, and the
old version's actors are removed when the last of these runs has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypedDict

import attrs

from .._plan.plan import Plan, ResourceNode
from .._publishing.event_buffer import Overflow
from .._run.run import RunRequest, check_run_id
from .._util.lazy_classes import define
from .._util.text import safe_repr
from ..errors import DefinitionError, did_you_mean
from ..pipe import Pipe
from ..specs import Target


DEFAULT_NAME = "Pipe"
"""The name of a pipe without an explicit name."""


class SubmitOptions(TypedDict, total=False):
    """Options of one run."""

    start: Target | None
    """The step to start at, instead of the roots."""
    queue_size: int | None
    """Events that may wait for the consumer; for a submitted run, events kept."""
    timeout: float | None
    """Maximum seconds for all steps of the run."""
    run_id: str | None
    """The run's id, chosen by the client; generated when it is not given."""


class JournalOptions(SubmitOptions, total=False):
    """Options of a submitted run of a supervisor with a journal."""

    durable: bool
    """Whether it is kept in the journal; the default is True."""


class RunOptions(SubmitOptions, total=False):
    """Options of a run with a consumer."""

    overflow: Overflow
    """Reaction to a slow consumer: block, drop_oldest or fail."""


KNOWN_OPTIONS = JournalOptions.__optional_keys__ | RunOptions.__optional_keys__
"""All option names, to report a misspelling that no type checker has seen."""


@define(eq=False, repr=False)
class Catalog:
    """Pipes by name."""

    make_context: Callable[[], Any] | None = attrs.field(default=None, init=False)
    """Makes the context of a run that is submitted without one."""
    _pipes: dict[str, Pipe[Any, Any]] = attrs.field(factory=dict, init=False)
    _ambiguous: set[str] = attrs.field(factory=set, init=False)

    def include(self, pipe: Pipe[Any, Any]) -> None:
        """Add a pipe; a name that two pipes share refers to neither of them."""
        _check_is_pipe(pipe, "Supervisor(pipe, ...) takes pipes one by one")
        if self._pipes.setdefault(pipe.name, pipe) is not pipe:
            self._ambiguous.add(pipe.name)

    def replace(self, pipe: Pipe[Any, Any]) -> Plan | None:
        """Make a pipe the current version of its name; return the previous plan.

        Raises:
            DefinitionError: the pipe is wired wrongly; nothing has changed.
        """
        pipe.validate(allow_multi_root=True)
        plan = pipe.plan()
        before = self._pipes.get(pipe.name)
        self._pipes[pipe.name] = pipe
        self._ambiguous.discard(pipe.name)
        if before is None or before.plan() is plan:
            return None
        return before.plan()

    def find(self, pipe: Pipe[Any, Any] | str) -> Pipe[Any, Any]:
        """Return the pipe, or the pipe that a name refers to.

        Raises:
            DefinitionError: the name refers to no pipe, or to more than one.
        """
        if not isinstance(pipe, str):
            _check_is_pipe(pipe, "submit(pipe, state) takes the pipe first")
            return pipe
        if pipe in self._ambiguous:
            msg = f"Two pipes are named '{pipe}'; give each a name with Pipe(name=...)."
            raise DefinitionError(msg)
        found = self._pipes.get(pipe)
        if found is None:
            msg = (
                f"No pipe is named '{pipe}'.{did_you_mean(pipe, self._pipes, 'pipes')}"
            )
            raise DefinitionError(msg)
        return found

    def build_request(
        self,
        pipe: Pipe[Any, Any] | str,
        state: Any,
        context: Any,
        options: SubmitOptions | RunOptions,
    ) -> RunRequest:
        """Return the request for a run of the current version of a pipe.

        Raises:
            DefinitionError: the pipe is wired wrongly, or its name is unknown.
            InvalidRunId: the ``run_id`` is not a valid id.
        """
        if context is None and self.make_context is not None:
            context = self.make_context()
        if not options:
            return self.find(pipe).build_request(state, context)
        if unknown := set(options) - KNOWN_OPTIONS:
            name = min(unknown)
            hint = did_you_mean(name, KNOWN_OPTIONS, "options")
            msg = f"A run has no option '{name}'.{hint}"
            raise TypeError(msg)
        request = self.find(pipe).build_request(
            state,
            context,
            options.get("start"),
            options.get("queue_size"),
            options.get("timeout"),
        )
        given_id = options.get("run_id")
        run_id = request.run_id if given_id is None else check_run_id(given_id)
        overflow = str(options.get("overflow", request.overflow))
        return attrs.evolve(request, run_id=run_id, overflow=overflow)

    def persisted(self) -> list[Pipe[Any, Any]]:
        """Return the pipes that store their runs."""
        return [pipe for pipe in self._pipes.values() if pipe.persist]

    @property
    def pipes(self) -> Mapping[str, Pipe[Any, Any]]:
        """The current version of each pipe, by name; a view."""
        return MappingProxyType(self._pipes)

    def names(self) -> tuple[str, ...]:
        """Return the names of all pipes; may be called from any thread."""
        return tuple(self._pipes)

    def check_durable(self) -> None:
        """Refuse pipes that cannot be found by name for their durable runs.

        Raises:
            DefinitionError: two pipes share a name, or a pipe has no explicit name.
        """
        for name in sorted(self._ambiguous):
            msg = (
                f"Two pipes are named '{name}', and a journal finds the pipe of a run "
                "by its name; give each a name with Pipe(name=...)."
            )
            raise DefinitionError(msg)

    def check_submitted(self, pipe: Pipe[Any, Any]) -> None:
        """Refuse a pipe if another process could not continue its durable runs.

        Raises:
            DefinitionError: it has no explicit name, or the supervisor does not have
                it.
        """
        if pipe.name == DEFAULT_NAME:
            msg = (
                "A pipe of durable runs needs a name of its own, by which other "
                "processes find it: Pipe(..., name='report')."
            )
            raise DefinitionError(msg)
        if self._pipes.get(pipe.name) is not pipe:
            msg = (
                f"The supervisor was not given the pipe '{pipe.name}', so it could not "
                f"take its runs up again; open it as Supervisor(pipe, journal=...)."
            )
            raise DefinitionError(msg)

    def validate(self) -> None:
        """Check and compile every pipe.

        Raises:
            DefinitionError: a pipe is wired wrongly.
        """
        for pipe in self._pipes.values():
            # Each run may pass start=, so several roots are checked when a run starts.
            pipe.validate(allow_multi_root=True)
            pipe.plan()

    def eager_resources(self) -> tuple[ResourceNode, ...]:
        """Return the resources that must be open before the first run."""
        plans = (pipe.plan() for pipe in self._pipes.values())
        return tuple(node for plan in plans for node in plan.eager_resources)

    def statistics(self) -> dict[str, str]:
        """Return the pipe hash of the version that new runs get, by name."""
        return {name: pipe.pipeline_hash for name, pipe in self._pipes.items()}


def _check_is_pipe(value: object, rule: str) -> None:
    if not hasattr(value, "build_request"):
        msg = f"{rule}; this is no Pipe: {safe_repr(value, limit=80)}."
        raise TypeError(msg)
