"""Mermaid text: a fixed example, and what it does not cover."""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import Any

import pytest

from justpipe_actors import DefinitionError, Pipe, Stop
from justpipe_actors.specs import BarrierType
from justpipe_actors.visualization import (
    GraphRenderer,
    MermaidRenderer,
    MermaidTheme,
    VisualAST,
    generate_mermaid_graph,
)


AnyPipe = Pipe[Any, Any]


def work() -> None:
    """Do the work."""


async def stream() -> Any:
    """Yield one thing."""
    yield 1


def drawn(pipe: AnyPipe) -> str:
    """Return the drawing without its styles."""
    return pipe.graph().partition("\n    %% Styling")[0].rstrip()


def golden() -> AnyPipe:
    """Return the pipe of the fixed example."""
    pipe = AnyPipe(name="M")
    pipe.map("fan", each="w", to="join")(work)
    pipe.step("w")(work)
    pipe.step("join")(stream)
    return pipe


def test_the_drawing_of_the_example_is_unchanged() -> None:
    """Programs that compare drawings see no difference."""
    assert drawn(golden()) == (
        "graph TD\n"
        '    Start(["▶ Start"])\n'
        "\n"
        '    n0[["Fan"]]\n'
        '    n1(["Join ⚡"])\n'
        '    n2@{ shape: procs, label: "W" }\n'
        '    End(["■ End"])\n'
        "    n1 --> End\n"
        "\n"
        "    Start --> n0\n"
        "    n0 --> n1\n"
        "    n0 -. map .-> n2\n"
        "    class n0 map;\n"
        "    class n2 step;\n"
        "    class n1 streaming;\n"
        "    class Start,End startEnd;"
    )
    assert golden().pipeline_hash == "1e9ea6dfbe4ecfae"


def test_only_used_styles_are_written() -> None:
    """There is no style and no class line for a group that the drawing does not have."""
    pipe = AnyPipe()
    pipe.step("a", to="b")(work)
    pipe.step("b", to="a")(work)
    text = pipe.graph()

    assert "End(" not in text
    assert "class Start startEnd;" in text
    styles = [line.split()[1] for line in text.splitlines() if "classDef" in line]
    assert styles == ["default", "step", "startEnd"]


def test_an_empty_pipe_is_one_box() -> None:
    """The box says that nothing is registered."""
    lines = AnyPipe().graph().splitlines()

    assert lines[1].strip() == "Empty[No steps registered]"
    assert [line for line in lines if "classDef" in line] == [
        "    classDef default fill:#f8f9fa,stroke:#dee2e6,stroke-width:1px;"
    ]


def test_text_is_escaped_after_it_is_formatted() -> None:
    """Quotes in names and keys are shown, wherever they are."""
    pipe = AnyPipe()
    pipe.switch('it"s', to={'q"x': "b#1", "<b>\n`&\\": "plain", "": "plain"})(work)
    pipe.step("b#1")(work)
    pipe.step("plain")(work)
    pipe.on_startup(Unnamed())
    text = drawn(pipe)

    assert 'n1{"It#34;S"}' in text
    assert 'n0["B#35;1"]' in text
    assert ' n1 -- "q#34;x" --> n0' in text
    assert ' n1 -- "#60;b#62; #96;#38;#92;" --> n2' in text
    assert ' n1 -- " " --> n2' in text


class Unnamed:
    def __call__(self) -> None:
        """Stand for a hook without a name."""


def test_any_callable_is_a_hook() -> None:
    """Partials and objects are named, and hooks are drawn as a chain."""
    pipe = AnyPipe()
    pipe.step(work)
    pipe.on_startup(functools.partial(work))
    pipe.on_startup(Unnamed())
    pipe.on_startup(Odd().hook)
    pipe.on_shutdown(lambda: None)
    text = drawn(pipe)

    assert "startup_0> Work ]" in text
    assert "startup_1> Unnamed ]" in text
    assert "startup_1 --> startup_2" in text
    assert "startup --> Start" in text
    assert 'shutdown_0>"#60;Lambda#62;"]' in text
    assert "End --> shutdown" in text


class Odd:
    def hook(self) -> None:
        """Stand for a bound method."""


def test_a_worker_and_a_route_are_no_entries() -> None:
    """A run starts at the map and at the switch, and ends where nothing follows."""
    pipe = AnyPipe()
    pipe.map("fan", each="w", to=[])(work)
    pipe.step("w")(work)
    assert "Start --> n0" in drawn(pipe)
    assert "Start --> n1" not in drawn(pipe)
    assert "n0 --> End" in drawn(pipe)

    pipe = AnyPipe()
    pipe.switch("s", to=lambda value: "x" if value else Stop)(work)
    pipe.step("x")(work)
    text = drawn(pipe)
    assert "Start --> n1" not in text
    assert "n0 -.-> n1" in text
    assert "n0 -.-> End" in text


def test_stop_is_an_edge_to_the_end() -> None:
    """The edge has the key of the route."""
    pipe = AnyPipe()
    pipe.switch("s", to={"go": "x", "done": Stop}, default="x")(work)
    pipe.step("x")(work)
    text = drawn(pipe)

    assert 'n0 -- "done" --> End' in text
    assert ' n0 -- "default" --> n1' in text


def test_routes_of_a_function_that_cannot_be_analysed_are_dashed() -> None:
    """A function that may return anything leads to a question mark."""
    pipe = AnyPipe()
    pipe.switch("s", to=lambda value: value.way)(work)
    pipe.step("x")(work)

    assert 'n0_any(["?"])' in drawn(pipe)
    assert "n0 -.-> n0_any" in drawn(pipe)


def test_routes_can_be_declared() -> None:
    """``routes=`` adds what the source does not show, for steps and for switches."""
    pipe = AnyPipe()
    pipe.step("a", routes=["x", work])(lambda: work.__name__)
    pipe.switch("x", to=lambda value: value.way, routes="work")(work)
    pipe.step(work)
    text = drawn(pipe)

    assert ' n0 -. "dynamic" .-> n2' in text
    assert ' n0 -. "dynamic" .-> n1' in text
    assert "n2 -.-> n1" in text
    assert "?" not in text

    pipe.step("b", routes="nowhere")(work)
    with pytest.raises(DefinitionError, match=r"unknown step 'nowhere' in routes="):
        pipe.validate(start="a")


def test_returned_names_are_dashed_edges() -> None:
    """They are drawn unless there is an edge already."""

    def check(x: Any) -> Any:
        return "draft" if x else "done"

    pipe = AnyPipe()
    pipe.step("draft", to="check")(work)
    pipe.step(check, to="done")
    pipe.step("done")(work)
    text = drawn(pipe)

    assert ' n0 -. "dynamic" .-> n2' in text
    assert text.count("n0 -") == 2
    assert "Start --> n2" in text


def test_the_results_of_a_handler_are_edges_of_its_step() -> None:
    """They are drawn as the step's own."""

    def rescue(error: Exception) -> str:
        return "plan_b"

    pipe = AnyPipe()
    pipe.map("a", each="w", on_error=rescue)(work)
    pipe.step("plan_b")(work)
    pipe.step("w")(work)

    assert "n0 -.-> n1" in drawn(pipe)


def test_a_node_is_in_one_group() -> None:
    """A target of two steps is drawn once, and a group of one is not drawn."""
    pipe = AnyPipe(allow_multi_root=True)
    pipe.step("a", to=["c", "d"])(work)
    pipe.step("b", to=["c", "d", "d", "e"])(work)
    pipe.step("f", to=["c", "c"])(work)
    for name in "cde":
        pipe.step(name)(work)
    text = drawn(pipe)

    assert text.count('n2["C"]') == text.count('n3["D"]') == 1
    assert text.count('n4["E"]') == 1
    assert text.count("subgraph") == 1
    assert text.count("n5 --> n2") == 1


def test_a_step_without_edges_is_a_utility() -> None:
    """It is drawn apart, unless all steps are like that."""
    pipe = AnyPipe(allow_multi_root=True)
    pipe.step("alone")(work)
    assert "Utilities" not in drawn(pipe)
    assert "Start --> n0" in drawn(pipe)

    pipe.step("a", to="b")(work)
    pipe.step("b", barrier_type=BarrierType.ANY)(work)
    text = drawn(pipe)
    assert 'n1["Alone"]:::isolated' in text
    assert "Start --> n1" not in text
    assert "class n1 isolated;" in text
    assert 'n2["B (Any)"]' in text


def test_a_sub_pipeline_is_drawn_inside_its_step() -> None:
    """Its ids contain the outer id, and a pipe inside itself is drawn once."""
    inner = AnyPipe()
    inner.sub("again", pipeline=inner)(work)
    pipe = AnyPipe()
    pipe.sub("outer", pipeline=inner)(work)
    text = drawn(pipe)

    assert 'n0[/"Outer" /]' in text
    assert 'subgraph cluster_n0 ["Outer (Impl)"]' in text
    assert 'n0_n0[/"Again" /]' in text
    assert "n0 -.- n0_Start" in text
    assert text.count("(Impl)") == 1


def test_a_theme_has_colours_and_a_direction() -> None:
    """Its direction has priority over the renderer's."""
    theme = MermaidTheme(direction="LR", step_fill="#123456")
    pipe = golden()
    text = pipe.graph(MermaidRenderer(theme, direction="BT"))

    assert text.startswith("graph LR\n")
    assert "classDef step fill:#123456,stroke:#1976d2" in text
    steps, topology = pipe.registry.steps, pipe.topology
    assert generate_mermaid_graph(steps, topology, theme=theme) == text
    assert generate_mermaid_graph(steps, topology, direction="RL")[:8] == "graph RL"
    assert theme.render_header() == "graph LR"
    assert len(theme.render_styles()) == 9


def test_a_description_can_be_drawn() -> None:
    """The result of ``describe()`` is enough to draw the same, with sorted nodes."""
    inner = AnyPipe()
    inner.step("deep")(work)
    pipe = golden()
    pipe.switch("s", to={1: "u", 2: Stop})(work)
    pipe.switch("t", to=lambda value: value.way)(work)
    pipe.sub("u", pipeline=inner)(work)
    pipe.step("v", to=["s", "t"])(lambda: "fan")
    pipe.on_startup(work)
    described = pipe.describe()["visual_ast"]

    again = VisualAST.from_dict(described)

    assert again.to_dict() == described
    assert list(again.nodes) == sorted(again.nodes)
    assert MermaidRenderer().render_ast(again) == pipe.graph()


PROGRAM = """
from justpipe_actors import (Pipe)
pipe = Pipe(allow_multi_root=True)
for name in "zebra yak xerus wolf".split():
    pipe.step(name, to=["lion", "ant"])(lambda: None)
print(pipe.graph(), pipe.describe()["visual_ast"])
"""


@pytest.mark.slow
def test_two_processes_draw_the_same() -> None:
    """No order depends on the hash of strings."""
    texts = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={"PYTHONHASHSEED": seed, "PYTHONUTF8": "1"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1


def test_any_object_with_render_is_a_renderer() -> None:
    """No base class is needed."""
    assert isinstance(MermaidRenderer(), GraphRenderer)
    assert not isinstance(5, GraphRenderer)


def test_unregistered_targets_are_drawn() -> None:
    """So a pipe that cannot run yet can be drawn."""
    pipe = AnyPipe()
    pipe.step("a", to="missing")(work)

    assert 'n1["Missing"]' in drawn(pipe)
    assert "n1 --> End" in drawn(pipe)
