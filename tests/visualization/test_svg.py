"""SVG drawings: well formed, complete, self-contained, with a shape for every kind of step."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from justpipe_actors import Pipe, Stop
from justpipe_actors.specs import BarrierType
from justpipe_actors.visualization import MermaidTheme, SvgRenderer, VisualAST
from justpipe_actors.visualization.labels import shorten_middle, text_width


AnyPipe = Pipe[Any, Any]
SVG = "{http://www.w3.org/2000/svg}"


def work() -> None:
    """Do the work."""


async def stream() -> Any:
    """Yield one thing."""
    yield 1


def again() -> Any:
    """Return its own name at times."""
    return "again"


def everything() -> AnyPipe:
    """Return a pipe with a step of each kind."""
    inner = AnyPipe()
    inner.step("deep", to="deeper")(work)
    inner.step("deeper")(stream)
    pipe = AnyPipe(name="all", allow_multi_root=True)
    pipe.on_startup(work)
    pipe.on_startup(again)
    pipe.on_shutdown(work)
    pipe.step("read", to=["fan", "again"])(work)
    pipe.step(again, to="route")
    pipe.map("fan", each="chapters", to="route")(work)
    pipe.map("chapters", each="pages")(work)
    pipe.step("pages")(stream)
    pipe.switch(
        "route",
        to={"a": "inner", "b": "inner", '<&">': "ask", "end": Stop},
        barrier_type=BarrierType.ANY,
    )(work)
    pipe.sub("inner", pipeline=inner)(work)
    pipe.sub("foreign", pipeline=object())(work)
    pipe.switch("ask", to=lambda value: value.way)(work)
    pipe.step("alone" * 20)(work)
    return pipe


def drawn(pipe: AnyPipe, **options: Any) -> ET.Element:
    """Return the parsed drawing."""
    return ET.fromstring(pipe.graph(SvgRenderer(**options)))


def texts(root: ET.Element) -> list[str]:
    """Return the texts of a drawing."""
    return [one.text or "" for one in root.iter(f"{SVG}text")]


def size(root: ET.Element) -> tuple[float, float]:
    """Return the width and height of a drawing."""
    return float(root.attrib["width"]), float(root.attrib["height"])


def test_everything_is_in_the_drawing() -> None:
    """Every step is a group with its name; labels of one edge share a background."""
    root = drawn(everything())
    names = [
        one.attrib["data-step"] for one in root.iter() if "data-step" in one.attrib
    ]

    expected = "again ask chapters deep deeper fan foreign inner pages read route"
    assert sorted(names) == sorted([*expected.split(), "alone" * 20])
    assert {"a, b", '<&">', "end", "?", "route (any)"} <= set(texts(root))
    assert texts(root).count("work") == 2
    assert shorten_middle("alone" * 20) in texts(root)


def test_titles_have_the_details() -> None:
    """They have the full name, the kind, and the first line of the docstring."""
    titles = [one.text for one in drawn(everything()).iter(f"{SVG}title")]

    assert "read (step): Do the work." in titles
    assert "pages (worker of a map): Yield one thing." in titles
    assert titles[0] is not None
    assert titles[0].startswith("Pipeline of 10 steps: again, ")


def test_a_step_to_itself_is_a_loop() -> None:
    """A step that may return its own name has a dashed line to itself, with room for it."""
    pipe = AnyPipe()
    pipe.step(again)
    with_loop = drawn(pipe)
    plain = AnyPipe()
    plain.step("again")(work)

    assert size(with_loop)[0] > size(drawn(plain))[0]
    assert size(drawn(pipe, direction="LR"))[1] > size(drawn(plain, direction="LR"))[1]
    dashed = [
        one for one in with_loop.iter(f"{SVG}path") if "stroke-dasharray" in one.attrib
    ]
    assert len(dashed) == 1


def test_it_can_run_sideways() -> None:
    """From left to right it is wide, from top to bottom it is high, by option or theme."""
    pipe = AnyPipe()
    for name, next_ in (("a", "b"), ("b", "c"), ("c", "d")):
        pipe.step(name, to=next_)(work)
    down, right = size(drawn(pipe)), size(drawn(pipe, direction="LR"))

    assert down[1] > down[0]
    assert right[0] > right[1]
    assert (
        size(drawn(pipe, theme=MermaidTheme(direction="LR"), direction="TD")) == right
    )
    assert texts(drawn(everything(), direction="LR"))


def test_a_theme_is_used() -> None:
    """Colours come from the theme that Mermaid uses, too."""
    pipe = AnyPipe()
    pipe.step("a")(work)

    assert 'fill="#123456"' in pipe.graph(
        SvgRenderer(MermaidTheme(step_fill="#123456"))
    )


def test_it_is_self_contained() -> None:
    """It has no style sheet, script, link, font or id that could collide with the page."""
    text = everything().graph(SvgRenderer())

    assert text.count("http") == 1
    for word in ("<style", "<script", " id=", "class=", "href", "url("):
        assert word not in text


@pytest.mark.parametrize("direction", ["TD", "LR"])
def test_an_empty_pipe_is_an_empty_drawing(direction: str) -> None:
    """It raises nothing."""
    root = drawn(AnyPipe(), direction=direction)

    assert texts(root) == []
    assert size(root) == (36, 36)


def test_unconnected_steps_are_drawn_in_rows() -> None:
    """They are below the others, in as many rows as they need."""
    pipe = AnyPipe()
    pipe.step("a", to="b")(work)
    pipe.step("b")(work)
    for index in range(5):
        pipe.step(f"other {index}")(work)
    width, height = size(drawn(pipe))

    assert width < height


def test_a_stored_description_can_be_drawn() -> None:
    """The result of ``describe()`` gives the same picture, without the docstrings."""
    pipe = everything()
    again = VisualAST.from_dict(pipe.describe()["visual_ast"])
    again_drawn = ET.fromstring(SvgRenderer().render_ast(again))

    assert texts(again_drawn) == texts(drawn(pipe))
    assert size(again_drawn) == size(drawn(pipe))


def test_notebooks_show_the_drawing() -> None:
    """``Pipe`` has an SVG representation, and its repr for other front ends."""
    pipe = everything()
    bundle = pipe._repr_mimebundle_(include=None, exclude=None)

    assert bundle["image/svg+xml"] == pipe.graph(SvgRenderer())
    assert bundle["text/plain"] == "<Pipe 'all' with 10 steps>"


def test_text_is_measured_rather_too_wide() -> None:
    """Wide scripts take a full square; long names are shortened in the middle."""
    assert text_width("日本", 10) == pytest.approx(21.2)
    assert text_width("www", 10) > text_width("aaa", 10) > text_width("iii", 10)
    assert shorten_middle("short") == "short"
    assert shorten_middle("two\nlines") == "two lines"
    long = shorten_middle("a" * 50 + "b" * 50)
    assert (len(long), long[0], long[-1]) == (32, "a", "b")


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError


def test_no_name_breaks_a_drawing() -> None:
    """Keys without text and names that XML does not allow are replaced."""
    pipe = AnyPipe()
    pipe.switch("s", to={Unprintable(): "a\x00\ud800b", 2: Stop})(work)
    pipe.step("a\x00\ud800b")(work)

    assert "a\ufffd\ufffdb" in texts(drawn(pipe))
    assert "Unprintable" in texts(drawn(pipe))
    assert "A\ufffd\ufffdB" in pipe.graph()
    pipe.graph().encode()


def test_a_page_can_find_steps_and_lines() -> None:
    """Steps have their name, kind and main shape; lines have both of their ends."""
    text = everything().graph(SvgRenderer())

    steps = re.findall(r'<g data-step="([^"]+)" data-kind="([^"]+)">', text)
    assert len(steps) == text.count("data-step=")
    assert text.count('data-main=""') == len(steps)
    names = {name for name, _ in steps}
    lines = re.findall(r'<g data-from="([^"]+)" data-to="([^"]+)">', text)
    assert lines
    assert any(source in names and target in names for source, target in lines)
    assert 'data-kind="start"' in text
    assert 'data-kind="end"' in text


def test_early_ends_have_a_mark_and_no_line() -> None:
    """A branch that ends far above the end gets a dot, so drawings stay narrow."""
    pipe = AnyPipe()
    for number in range(60):
        side = [f"side{number}"] if number % 2 else []
        pipe.step(f"main{number}", to=[f"main{number + 1}", *side])(lambda: None)
        if side:
            pipe.step(side[0])(lambda: None)
    pipe.step("main60")(lambda: None)
    root = drawn(pipe)

    lines = [g.get("data-from") for g in root.iter() if g.get("data-to") == "end"]
    marks = [g for g in root.iter(f"{SVG}circle") if g.get("data-kind") == "end"]
    assert "main60" in lines
    assert len(lines) + len(marks) >= 31
    assert "side1" not in lines
    assert len(marks) > 20
    assert size(root)[0] < 1000


def test_late_roots_have_a_mark_and_no_line() -> None:
    """A root far below the start gets a dot, so drawings stay narrow."""
    pipe = AnyPipe(allow_multi_root=True)
    for number in range(60):
        pipe.step(f"main{number}", to=f"main{number + 1}")(lambda: None)
        if number % 2:
            pipe.step(f"late{number}", to=f"main{number + 1}")(lambda: None)
    pipe.step("main60")(lambda: None)
    root = drawn(pipe)

    lines = [g.get("data-to") for g in root.iter() if g.get("data-from") == "start"]
    marks = [g for g in root.iter(f"{SVG}circle") if g.get("data-kind") == "start"]
    assert "main0" in lines
    assert len(lines) + len(marks) == 31
    assert len(marks) > 20
    assert size(root)[0] < 2000  # 3250 with a line to each
