"""What ``Pipe`` tells about itself without a run."""

from __future__ import annotations

import dataclasses
import json
import types
from typing import Any

import attrs
import msgspec
import pydantic
import pytest

from justpipe_actors import DefinitionError, Pipe


def prepare() -> None:
    """Stand for a hook."""


def rescue(error: Exception) -> None:
    """Stand for a handler."""


def full() -> tuple[Pipe[Any, Any], Pipe[Any, Any]]:
    """Return a pipe that uses everything that a description contains, and its child."""
    child = Pipe[Any, Any](name="child")
    child.step("only")(lambda: None)
    pipe = Pipe[Any, Any](name="p", metadata={"owner": "us"})
    pipe.step("a", to=["m", "a2"], timeout=2, retries=3, on_error=rescue)(lambda: None)
    pipe.step("a2", to="s")(lambda: None)
    pipe.map("m", each="w", to="s")(lambda: None)
    pipe.step("w")(lambda: None)
    pipe.switch("s", to={1: "u"}, barrier_timeout=5)(lambda: 1)
    pipe.sub("u", pipeline=child)(lambda: None)
    pipe.on_startup(prepare)
    pipe.on_shutdown(prepare)
    pipe.on_error(rescue)
    return pipe, child


def test_a_description_is_json_and_complete() -> None:
    """Nodes have only the options that were set; a worker or a route is no root."""
    pipe, child = full()

    described = json.loads(json.dumps(pipe.describe()))
    assert sorted(described.pop("visual_ast")["nodes"]) == [
        "a",
        "a2",
        "m",
        "s",
        "u",
        "w",
    ]
    assert described == {
        "name": "p",
        "pipeline_hash": pipe.pipeline_hash,
        "nodes": {
            "a": {
                "kind": "step",
                "targets": ["a2", "m"],
                "timeout": 2,
                "retries": 3,
                "has_error_handler": True,
            },
            "a2": {"kind": "step", "targets": ["s"]},
            "m": {"kind": "map", "targets": ["s", "w"]},
            "w": {"kind": "step", "targets": []},
            "s": {"kind": "switch", "targets": ["u"], "barrier_timeout": 5},
            "u": {
                "kind": "sub",
                "targets": [],
                "sub_pipeline_hash": child.pipeline_hash,
            },
        },
        "topology": {"a": ["m", "a2"], "a2": ["s"], "m": ["s"]},
        "roots": ["a"],
        "metadata": {"owner": "us"},
        "hooks": {
            "startup": ["prepare"],
            "shutdown": ["prepare"],
            "on_error": "rescue",
        },
    }


def test_missing_hooks_are_not_described() -> None:
    """The description of a pipe without hooks has no entry for them."""
    assert Pipe[Any, Any]().describe()["hooks"] == {}


def test_hooks_and_handlers_are_part_of_the_plan() -> None:
    """The compiled plan has them by name."""
    plan = full()[0].plan()

    assert [hook.name for hook in (*plan.startup, *plan.shutdown)] == ["prepare"] * 2
    assert plan.on_error is not None
    assert plan.nodes["a"].on_error is not None
    assert plan.on_error.name == plan.nodes["a"].on_error.name == "rescue"


class Recorder:
    def __init__(self) -> None:
        self.hooks: dict[str, Any] = {}

    def render(self, steps: Any, topology: Any, **hooks: Any) -> str:
        """Remember the hooks and draw the steps as words."""
        self.hooks = hooks
        return f"{' '.join(steps)}: {len(topology)}"


def test_a_graph_is_mermaid_by_default() -> None:
    """``graph()`` needs no renderer."""
    assert full()[0].graph().startswith("graph TD\n")


def test_a_renderer_gets_steps_edges_and_hooks() -> None:
    """``graph`` passes them to the renderer and returns its text."""
    recorder = Recorder()

    assert full()[0].graph(recorder) == "a a2 m w s u: 3"
    assert recorder.hooks == {"startup_hooks": [prepare], "shutdown_hooks": [prepare]}


def test_the_repr_of_a_pipe_has_its_name_and_size() -> None:
    """Its middleware is a read-only view."""
    pipe, _ = full()

    assert repr(pipe) == "<Pipe 'p' with 6 steps>"
    assert isinstance(pipe.middleware, tuple)


def test_a_start_may_be_a_function() -> None:
    """``start=`` takes a function or a name and refuses other objects."""
    pipe = Pipe[Any, Any]()
    pipe.step(prepare)

    pipe.validate(start=prepare)
    with pytest.raises(DefinitionError, match=r"must be a step's name or function"):
        pipe.validate(start=5)  # type: ignore[arg-type]


@dataclasses.dataclass
class Order:
    """A state with one field of each type."""

    item: str
    count: int = 1


@attrs.define
class AttrsOrder:
    """The same as an attrs class."""

    item: str
    count: int = 1


class ModelOrder(pydantic.BaseModel):
    """The same as a model of pydantic."""

    item: str
    count: int = 1


class StructOrder(msgspec.Struct):
    """The same as a struct of msgspec."""

    item: str
    count: int = 1


@pytest.mark.parametrize("state", [Order, AttrsOrder, ModelOrder, StructOrder])
def test_the_state_has_a_schema(state: type) -> None:
    """``state_schema`` is all that a form needs, whatever library the type comes from."""
    schema = Pipe[Any, Any](state).describe()["state_schema"]
    if "$ref" in schema:
        schema = schema["$defs"][schema["$ref"].rpartition("/")[2]]

    assert schema["type"] == "object"
    assert schema["properties"]["item"]["type"] == "string"
    assert schema["properties"]["count"]["type"] == "integer"
    assert schema["required"] == ["item"]


def test_types_without_a_schema_have_none() -> None:
    """A pipe without a state type, or with a type that JSON cannot represent, has no schema."""
    assert Pipe[Any, Any](dict).describe()["state_schema"] == {"type": "object"}
    assert "state_schema" not in Pipe[Any, Any](None).describe()
    assert "state_schema" not in Pipe[Any, Any](type(json)).describe()


@pytest.mark.parametrize("library", ["pydantic", "msgspec"])
def test_models_have_the_schema_of_their_library(library: str) -> None:
    """A model of pydantic and a struct of msgspec are described by these libraries."""
    module = pytest.importorskip(library)
    base = module.BaseModel if library == "pydantic" else module.Struct
    model = types.new_class(
        "Ticket",
        (base,),
        exec_body=lambda body: body.update(__annotations__={"n": int}),
    )
    text = json.dumps(Pipe[Any, Any](model).describe()["state_schema"])

    assert '"n"' in text
    assert "integer" in text
