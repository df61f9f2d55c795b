from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from justpipe_actors import DefinitionError, Event, Pipe
from justpipe_actors._definition.registry import Registry
from justpipe_actors._definition.steps import StepDef, StepSettings
from justpipe_actors.abc import Observer
from justpipe_actors.errors import PipelineValidationWarning
from justpipe_actors.events import NodeKind
from justpipe_actors.specs import InjectionSource


def empty() -> Registry:
    """Return a registry without anything in it."""
    return Registry(dict, type(None), ())


def step(name: str = "it") -> StepDef:
    """Return a step that does nothing."""
    return StepDef(
        name=name,
        kind=NodeKind.STEP,
        func=lambda: None,
        injection={"s": InjectionSource.STATE},
        options=StepSettings(),
    )


def same_event(event: Event) -> Event:
    """Leave an event as it is."""
    return event


def hook(state: dict[str, Any]) -> None:
    """Stand for a hook."""


MUTATORS: dict[str, Callable[[Registry], None]] = {
    "add_step": lambda registry: registry.add_step(step()),
    "add_startup": lambda registry: registry.add_startup(hook),
    "add_shutdown": lambda registry: registry.add_shutdown(hook),
    "set_error_hook": lambda registry: registry.set_error_hook(hook),
    "add_middleware": lambda registry: registry.add_middleware(lambda f, _: f),
    "add_event_hook": lambda registry: registry.add_event_hook(same_event),
    "add_observer": lambda registry: registry.add_observer(Observer()),
}


@pytest.mark.parametrize("mutate", MUTATORS.values(), ids=MUTATORS)
def test_a_frozen_registry_refuses_every_change(
    mutate: Callable[[Registry], None],
) -> None:
    """Once it is finalized, every method that changes it raises an error that says so."""
    registry = empty()
    mutate(registry)
    registry.freeze()

    with pytest.raises(RuntimeError, match="frozen after first run"):
        mutate(registry)


def test_a_name_can_be_used_once() -> None:
    """A second step of the same name is refused, and the first one stays."""
    registry = empty()
    first = step()
    registry.add_step(first)

    with pytest.raises(DefinitionError, match="already registered"):
        registry.add_step(step())

    assert dict(registry.steps) == {"it": first}


def test_the_steps_are_a_view() -> None:
    """``registry.steps`` cannot be changed."""
    registry = empty()

    with pytest.raises(TypeError):
        registry.steps["it"] = step()  # type: ignore[index]


def test_injection_metadata_is_a_copy() -> None:
    """Changing the returned metadata changes no step."""
    registry = empty()
    registry.add_step(step())

    registry.injection_metadata["it"].clear()

    assert registry.injection_metadata == {"it": {"s": InjectionSource.STATE}}


REFUSED: dict[str, Callable[[Registry], None]] = {
    "no function": lambda r: r.add_startup(5),  # type: ignore[arg-type]
    "startup": lambda r: r.add_startup(lambda item: item),
    "shutdown": lambda r: r.add_shutdown(lambda item: item),
    "handler": lambda r: r.set_error_hook(lambda item: item),
    "middleware": lambda r: r.add_middleware(5),  # type: ignore[arg-type]
    "event hook": lambda r: r.add_event_hook(5),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("mutate", REFUSED.values(), ids=REFUSED)
def test_a_refused_part_is_not_registered(mutate: Callable[[Registry], None]) -> None:
    """A hook or a part with a mistake is a DefinitionError."""
    registry = empty()

    with pytest.raises(DefinitionError):
        mutate(registry)

    assert (registry.version, registry.middleware) == (0, ())
    assert (registry.startup_hooks, registry.shutdown_hooks) == ((), ())
    assert (registry.error_hook, registry.event_hooks) == (None, ())


def test_an_observer_without_hooks_is_refused() -> None:
    """An object without the hooks of an observer is a TypeError that names the missing ones."""
    with pytest.raises(TypeError, match="missing required hooks"):
        empty().add_observer(object())  # type: ignore[arg-type]


def test_the_last_error_hook_wins() -> None:
    """There is one handler for the pipe; setting another replaces it."""
    registry = empty()
    registry.set_error_hook(hook)
    registry.set_error_hook(lambda e: None)

    assert registry.error_hook is not None
    assert registry.error_hook.injection_metadata == {"e": InjectionSource.ERROR}


@pytest.mark.parametrize("register", ["on_startup", "on_shutdown"])
def test_a_hook_that_yields_is_warned_of(register: str) -> None:
    """It runs to its end at once; the warning names the hook and the remedy."""
    pipe: Pipe[Any, Any] = Pipe(dict)

    async def session() -> Any:
        yield 1

    def setup() -> Any:
        yield 1

    for hook in (session, setup):
        with pytest.warns(PipelineValidationWarning, match=hook.__name__) as caught:
            getattr(pipe, register)(hook)
        assert "@pipe.resource" in str(caught[0].message)
        assert caught[0].filename == __file__
