"""Look at a pipe without running it: as text for Mermaid, as SVG, as data.

``--svg FILE`` writes the picture to a file; a notebook shows it by itself when a cell
ends with ``pipe``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import anyio

from justpipe_actors import Pipe, Stop
from justpipe_actors.visualization import SvgRenderer


AnyPipe = Pipe[Any, Any]

layout = AnyPipe(name="layout")


@layout.step(to="find_tables")
async def find_columns() -> None:
    """Cut the page into columns."""


@layout.step
async def find_tables() -> None:
    """Tell tables from text."""


pipe = AnyPipe(name="documents")


@pipe.map(each="read_page", to=["index", "summarize"])
async def split() -> list[str]:
    """Cut a document into pages."""
    return []


@pipe.sub(pipeline=layout)
async def read_page(page: str) -> str:
    """Look at one page."""
    return page


@pipe.step(to="check")
async def index() -> None:
    """Make the words findable."""


@pipe.step(to="check")
async def summarize() -> Any:
    """Say it in short."""
    yield "..."


@pipe.switch(to={"good": "publish", "bad": Stop}, default="ask")
async def check() -> str:
    """Decide what happens next."""
    return "good"


@pipe.step
async def ask() -> str:
    """Ask a person; the drawing finds in the source where this may lead."""
    return "summarize"


@pipe.step
async def publish() -> None:
    """Put it where it can be read."""


async def main(svg: Path | None = None) -> None:
    print("Generated Mermaid Code\n")
    print(pipe.graph())

    about = pipe.describe()
    print(f"\nA run begins at {', '.join(about['roots'])}.")
    for edge in about["visual_ast"]["edges"]:
        if edge.get("is_dynamic"):
            print(f"{edge['source']} may lead to {edge['target']}.")

    drawing = pipe.graph(SvgRenderer(direction="LR"))
    print(f"As SVG it has {len(drawing.splitlines())} lines.")
    if svg is not None:
        await anyio.Path(svg).write_text(drawing, encoding="utf-8")
        print(f"Written to {svg}.")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    options.add_argument("--svg", type=Path, metavar="FILE", help="where to write it")
    chosen = options.parse_args()
    anyio.run(main, chosen.svg, backend=chosen.backend)
