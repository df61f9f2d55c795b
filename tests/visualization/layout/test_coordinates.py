"""The layout of graphs: boxes do not overlap, and lines connect them."""

from __future__ import annotations

from itertools import combinations, pairwise
from random import Random

import pytest
from hypothesis import given, settings, strategies as st

from justpipe_actors.errors import LayoutTooLarge
from justpipe_actors.visualization.layout import Box, Layout, Line, Link, arrange
from justpipe_actors.visualization.layout.relaxation import _ascending


def box(key: str, width: float = 60, height: float = 30) -> Box:
    """Return a box of the usual size."""
    return Box(key, width, height)


def laid(links: list[Link], *keys: str) -> Layout:
    """Arrange boxes of the usual size."""
    names = dict.fromkeys(
        [*keys, *(end for o in links for end in (o.source, o.target))]
    )
    return arrange([box(name) for name in names], links)


def rows(layout: Layout) -> list[list[str]]:
    """Return the keys from top to bottom, each row from left to right."""
    found: dict[float, list[str]] = {}
    for key, at in sorted(layout.centres.items(), key=lambda one: one[1].x):
        found.setdefault(at.y, []).append(key)
    return [found[y] for y in sorted(found)]


def test_an_empty_layout_has_no_size() -> None:
    """There are no boxes and no lines."""
    layout = arrange([], [])

    assert (layout.width, layout.height) == (0, 0)


def test_a_chain_is_one_straight_column() -> None:
    """Every line of a chain is vertical and runs from border to border."""
    layout = laid([Link("a", "b"), Link("b", "c")])

    assert rows(layout) == [["a"], ["b"], ["c"]]
    assert {at.x for at in layout.centres.values()} == {30}
    for line in layout.lines:
        first, last = line.points
        assert first.x == last.x
        assert first.y == layout.centres[line.link.source].y + 15
        assert last.y == layout.centres[line.link.target].y - 15


def test_a_diamond_is_symmetric() -> None:
    """The two ends are in the middle between the two sides."""
    layout = laid([Link("a", "b"), Link("a", "c"), Link("b", "d"), Link("c", "d")])
    at = layout.centres

    assert rows(layout) == [["a"], ["b", "c"], ["d"]]
    assert at["a"].x == at["d"].x == (at["b"].x + at["c"].x) / 2


def test_crossings_are_removed() -> None:
    """Boxes change places until no line crosses another."""
    layout = laid(
        [Link("a", "y"), Link("b", "x"), Link("a", "z"), Link("b", "z")], "a", "b"
    )

    assert rows(layout) in (
        [["a", "b"], ["y", "z", "x"]],
        [["b", "a"], ["x", "z", "y"]],
    )


def test_a_long_line_is_vertical_where_it_passes() -> None:
    """It bends only between layers, and no box is in its way."""
    layout = laid([Link("a", "b"), Link("b", "c"), Link("c", "d"), Link("a", "d")])
    line = layout.lines[3]

    assert len(line.points) == 6
    assert [a.x == b.x for a, b in pairwise(line.points)] == [False, *[True] * 3, False]
    assert not any(hits(line, key, layout) for key in "bc")


def test_a_cycle_is_drawn_with_one_line_upwards() -> None:
    """It is a link that may be reversed, beside the link that goes down."""
    layout = laid([Link("b", "a", may_reverse=True), Link("a", "b")])
    up, down = layout.lines

    assert rows(layout) == [["a"], ["b"]]
    assert up.points[0].y > up.points[-1].y
    assert down.points[0].y < down.points[-1].y
    assert up.points[0].x > down.points[0].x


def test_a_cycle_of_fixed_links_is_drawn_too() -> None:
    """When no link may be reversed, one is reversed anyway."""
    layout = laid([Link("a", "b"), Link("b", "c"), Link("c", "a")])

    assert rows(layout) == [["a"], ["b"], ["c"]]
    assert len(layout.lines) == 3


def test_a_link_to_itself_is_left_to_the_renderer() -> None:
    """It has no line, and makes no cycle."""
    layout = laid([Link("a", "a"), Link("a", "b")])

    assert [line.link.target for line in layout.lines] == ["b"]


def test_ranks_can_be_kept_free() -> None:
    """A link over two ranks leaves room for a box between its ends."""
    layout = laid([Link("map", "next", ranks=2), Link("map", "worker")])

    assert rows(layout) == [["map"], ["worker"], ["next"]]


def test_a_box_is_near_its_neighbours() -> None:
    """A root is near its successors, a leaf near its parent, by weight."""
    layout = laid(
        [
            Link("a", "b"),
            Link("b", "c"),
            Link("late", "c"),
            Link("a", "leaf"),
            Link("leaf", "c", weight=0),
            Link("a", "low", weight=0),
            Link("low", "c"),
        ]
    )
    y = {key: at.y for key, at in layout.centres.items()}

    assert y["late"] == y["b"]
    assert y["leaf"] == y["b"]
    assert y["low"] == y["b"]


def test_labels_have_rows_of_their_own() -> None:
    """A label is on its line, between two rows of boxes."""
    link = Link("a", "b", label=(80, 18))
    layout = laid([link, Link("a", "c", label=(80, 18)), Link("a", "d")])
    line = layout.lines[0]

    assert line.label is not None
    assert layout.centres["a"].y + 15 < line.label.y - 9
    assert line.label.y + 9 < layout.centres["b"].y - 15
    assert layout.lines[1].label is not None
    assert abs(line.label.x - layout.lines[1].label.x) >= 80
    assert layout.lines[2].label is None


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Box], list[Link]]:
    """Draw boxes of any size, and links of any kind between them."""
    count = draw(st.integers(1, 14))
    sizes = st.sampled_from([26.0, 60.0, 140.0, 300.0])
    boxes = [box(f"n{i}", draw(sizes), draw(sizes)) for i in range(count)]
    ends = st.integers(0, count - 1)
    links = [
        Link(
            f"n{draw(ends)}",
            f"n{draw(ends)}",
            label=draw(st.sampled_from([None, None, (50.0, 18.0)])),
            weight=draw(st.integers(0, 2)),
            ranks=draw(st.integers(1, 2)),
            may_reverse=draw(st.booleans()),
        )
        for _ in range(draw(st.integers(0, 24)))
    ]
    return boxes, links


def hits(
    line: Line, key: str, layout: Layout, half: tuple[float, float] = (30, 15)
) -> bool:
    """Tell whether a line can run through a box, with its curves."""
    at = layout.centres[key]
    for one, two in pairwise(line.points):
        top, bottom = sorted((one.y, two.y))
        left, right = sorted((one.x, two.x))
        is_level = top < at.y + half[1] and bottom > at.y - half[1]
        if is_level and left < at.x + half[0] and right > at.x - half[0]:
            return True
    return False


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(graphs())
def test_any_graph_is_drawn_without_overlaps(
    graph: tuple[list[Box], list[Link]],
) -> None:
    """Every line connects its boxes, and everything is inside of the drawing."""
    boxes, links = graph
    layout = arrange(boxes, links)

    for one, two in combinations(boxes, 2):
        a, b = layout.centres[one.key], layout.centres[two.key]
        beside = abs(a.x - b.x) >= (one.width + two.width) / 2 - 1e-6
        apart = abs(a.y - b.y) >= (one.height + two.height) / 2 - 1e-6
        assert beside or apart
    for one in boxes:
        at = layout.centres[one.key]
        assert at.x - one.width / 2 >= -1e-6
        assert at.x + one.width / 2 <= layout.width + 1e-6
        assert at.y - one.height / 2 >= -1e-6
        assert at.y + one.height / 2 <= layout.height + 1e-6
    assert [line.link for line in layout.lines] == [
        link for link in links if link.source != link.target
    ]
    for line in layout.lines:
        check(line, layout, {one.key: one for one in boxes})


def check(line: Line, layout: Layout, boxes: dict[str, Box]) -> None:
    """Check that a line begins and ends at its boxes, stays inside and hits no other box."""
    for key, point in (
        (line.link.source, line.points[0]),
        (line.link.target, line.points[-1]),
    ):
        at = layout.centres[key]
        assert abs(point.x - at.x) <= boxes[key].width / 2
        assert abs(abs(point.y - at.y) - boxes[key].height / 2) < 1e-6
    for key, one in boxes.items():
        half = (one.width / 2 - 1e-6, one.height / 2 - 1e-6)
        assert not hits(line, key, layout, half)
    for point in line.points:
        assert -1e-6 <= point.x <= layout.width + 1e-6


def test_five_thousand_boxes_in_a_row_are_laid_out() -> None:
    """No stage is recursive, and all are fast enough."""
    links = [Link(f"n{i}", f"n{i + 1}") for i in range(2000)]

    assert len(rows(laid(links))) == 2001


def test_a_wide_graph_does_not_drift_aside() -> None:
    """A drawing is about as wide as its widest row, however many rows there are."""
    chance = Random(1)
    links = [
        Link(f"n{parent}", f"n{number}", None)
        for number in range(1, 300)
        for parent in chance.sample(
            range(max(0, number - 8), number), min(number, chance.choice([1, 1, 2]))
        )
        if number % 8
    ]
    layout = laid(links)
    widest = max(len(row) for row in rows(layout))

    # Every line that passes a row takes room in it, too.
    assert layout.width < 4 * widest * (60 + 36)


def test_a_drawing_that_would_take_seconds_is_refused() -> None:
    """The message has its size and the remedy."""
    chain = [Link(f"a{number}", f"a{number + 1}") for number in range(300)]
    long_lines = [Link("a0", f"a{number}") for number in range(2, 300)]
    with pytest.raises(LayoutTooLarge, match="MermaidRenderer") as caught:
        laid(chain + long_lines)
    assert caught.value.boxes == 301
    assert caught.value.places > caught.value.limit


@given(
    st.lists(st.tuples(st.floats(-100, 100), st.floats(0.1, 4)), min_size=1, max_size=8)
)
def test_the_nearest_ascending_numbers_are_found(
    pairs: list[tuple[float, float]],
) -> None:
    """No number, alone or with its equals, can move nearer to the wanted position."""
    values, weights = [list(column) for column in zip(*pairs, strict=True)]
    found = _ascending(values, weights)

    assert found == sorted(found)
    for mean in set(found):
        places = [place for place, value in enumerate(found) if value == mean]
        total = sum(weights[place] for place in places)
        middle = sum(values[place] * weights[place] for place in places) / total
        assert mean == pytest.approx(middle, abs=1e-6)
