from __future__ import annotations

from itertools import product
from typing import Any

import attrs
import pytest

from justpipe_actors._plan.compiler import bind_parameters
from justpipe_actors._plan.plan import NO_ITEM, CallValues
from justpipe_actors.cancellation import CancellationToken
from justpipe_actors.specs import InjectionSource as Source


@attrs.frozen
class Values:
    state: object = "the state"
    context: object = "the context"
    token: CancellationToken = attrs.field(factory=CancellationToken)


RUN = Values()
CALL = CallValues(item="the item", error=ValueError("x"), step_name="it")

EXPECTED: dict[Source, Any] = {
    Source.STATE: RUN.state,
    Source.CONTEXT: RUN.context,
    Source.CANCEL: RUN.token,
    Source.ERROR: CALL.error,
    Source.STEP_NAME: "it",
}


@pytest.mark.parametrize("sources", [*product(EXPECTED), *product(EXPECTED, repeat=2)])
def test_every_parameter_gets_its_value(sources: tuple[Source, ...]) -> None:
    """A binding gives each parameter the value of its source, specialised or not."""
    injection = {f"p{i}": source for i, source in enumerate(sources)}

    arguments = bind_parameters(injection)(RUN, CALL)

    assert arguments == {name: EXPECTED[source] for name, source in injection.items()}


def test_a_function_without_parameters_gets_no_arguments() -> None:
    """The binding returns a new empty dict."""
    bind = bind_parameters({})
    bind(RUN, CALL)["stray"] = 1

    assert bind(RUN, CALL) == {}


def test_a_worker_gets_its_item() -> None:
    """The unknown parameter receives the item, beside the known ones."""
    bind = bind_parameters({"s": Source.STATE, "row": Source.UNKNOWN})

    assert bind(RUN, CALL) == {"s": "the state", "row": "the item"}
    assert bind(RUN, CallValues(item=None)) == {"s": "the state", "row": None}


def test_without_an_item_the_parameter_is_left_out() -> None:
    """Outside of a map the argument is missing, so Python raises its TypeError."""
    bind = bind_parameters({"row": Source.UNKNOWN})

    assert CallValues().item is NO_ITEM
    assert bind(RUN, CallValues()) == {}


def test_a_step_gets_no_error() -> None:
    """ERROR and STEP_NAME are None unless a handler is called."""
    bind = bind_parameters({"e": Source.ERROR, "stage": Source.STEP_NAME})

    assert bind(RUN, CallValues()) == {"e": None, "stage": None}
