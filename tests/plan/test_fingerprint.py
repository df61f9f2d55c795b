from __future__ import annotations

import hashlib
from typing import Any

from justpipe_actors import Pipe


def no_items() -> list[object]:
    """Return no items to map over."""
    return []


def build(*names: str) -> Pipe[Any, Any]:
    """Return a pipe with a map, a switch and steps registered in this order."""
    pipe = Pipe[Any, Any](name="Täglich")
    pipe.switch("s", to={1: "b"})(lambda: 1)
    pipe.map("m", each="w", to=["b", "a"])(no_items)
    for name in names:
        pipe.step(name, to="m" if name == "a" else None)(lambda: None)
    return pipe


def test_the_hash_is_that_of_a_written_out_text() -> None:
    """It covers name, kinds and static edges as sorted JSON, not routes or workers."""
    text = (
        '{"edges": [["a", "m"], ["m", "a"], ["m", "b"]], "name": "T\\u00e4glich", '
        '"steps": [["a", "step"], ["b", "step"], ["m", "map"], ["s", "switch"], '
        '["w", "step"]]}'
    )
    expected = hashlib.sha256(text.encode()).hexdigest()[:16]

    assert build("a", "b", "w").pipeline_hash == expected


def test_the_order_of_registration_does_not_matter() -> None:
    """The same steps and edges have the same hash in any order of registration."""
    assert build("a", "b", "w").pipeline_hash == build("w", "b", "a").pipeline_hash


def test_plan_and_description_agree_on_the_hash() -> None:
    """All places where it can be read give the same hash."""
    pipe = build("a", "b", "w")

    assert pipe.plan().fingerprint == pipe.describe()["pipeline_hash"]
