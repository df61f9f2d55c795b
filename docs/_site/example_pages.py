"""A Markdown extension for the pages of the examples: their pictures and their programs.

The pages are written for a repository's browser, which draws Mermaid and lists the files
beside the page.  A site has neither: a Mermaid library would have to be loaded, and the
program would be a link.  So the drawing is replaced by what ``SvgRenderer`` draws of the
same pipe, and the page ends with the text of the program.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

from markdown import Extension, Markdown
from markdown.preprocessors import Preprocessor

from justpipe_actors import Pipe
from justpipe_actors.visualization import SvgRenderer


DOCS = Path(__file__).parents[1]
DRAWING = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def pipe_of(program: Path) -> Pipe | None:
    """Import a program and return its ``pipe``, if it has one."""
    name = f"_site_{program.parent.name}"
    spec = importlib.util.spec_from_file_location(name, program)
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for their annotations
    sys.path.insert(0, str(program.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(program.parent))
    found = getattr(module, "pipe", None)
    return found if isinstance(found, Pipe) else None


def programs_beside(page: Path) -> list[Path]:
    """Return the programs in the folder of an example's page, the main one first."""
    if page.name != "README.md" or page.parent == DOCS / "examples":
        return []
    found = [path for path in page.parent.glob("*.py") if path.name != "__init__.py"]
    return sorted(found, key=lambda path: (path.name != "main.py", path.name))


class ExamplePreprocessor(Preprocessor):
    """Draw the pipe of an example and append its program."""

    def run(self, lines: list[str]) -> list[str]:
        """Return the lines of the page as the site shows them."""
        page = self.page()
        if page is None or "examples" not in page.parts:
            return lines
        programs = programs_beside(page)
        text = "\n".join(lines)
        if programs and (drawing := DRAWING.search(text)):
            pipe = pipe_of(programs[0])
            if pipe is not None and drawing[1].strip() == pipe.graph().strip():
                text = text.replace(drawing[0], self.picture_of(pipe))
        for program in programs:
            code = program.read_text(encoding="utf-8").rstrip()
            text += f"\n\n## {program.name}\n\n````python\n{code}\n````\n"
        return text.split("\n")

    def picture_of(self, pipe: Pipe) -> str:
        """Keep a drawing where Markdown does not look into it; return its placeholder."""
        drawing = pipe.graph(SvgRenderer())
        figure = f'<figure class="pipe-drawing">{drawing}</figure>'
        return f"\n{self.md.htmlStash.store(figure)}\n"

    def page(self) -> Path | None:
        """Return the file of the page that is rendered now, as the generator says it."""
        for processor in self.md.preprocessors:
            page = getattr(processor, "page", None)
            if isinstance(getattr(page, "path", None), str):
                return DOCS / page.path
        return None


class ExamplePages(Extension):
    """Register the preprocessor: after whitespace is normalised, before fenced code is taken out."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - the library's name
        """Add the preprocessor to a Markdown instance."""
        md.preprocessors.register(ExamplePreprocessor(md), "example_pages", 28)


def makeExtension(**options: str) -> ExamplePages:  # noqa: N802 - the library's name
    """Return the extension, as Python-Markdown asks for it."""
    return ExamplePages(**options)
