"""Texts of names and keys in drawings, and their escaping for Mermaid."""

from __future__ import annotations

import html
import re
import unicodedata

from .._util.user_objects import call_or


NAME_FONT_SIZE = 13.0
"""Size of names in SVG, in pixels."""

LABEL_FONT_SIZE = 11.0
"""Size of labels and hooks."""

_ENTITIES = {ord(char): f"#{ord(char)};" for char in '#&"<>`\\'}


def display_name(name: str) -> str:
    """Return a step's name for display."""
    return name.replace("_", " ").title()


def key_text(value: object) -> str:
    """Return a key as text; one that cannot be text is called by its type."""
    return call_or(type(value).__name__, str, value)


def escape_mermaid(text: str) -> str:
    """Return text that means itself between Mermaid's quotes."""
    return _printable(text).translate(_ENTITIES)


def escape_xml(text: str) -> str:
    """Return text that means itself in XML, between tags and between quotes."""
    return html.escape(_printable(text))


def _printable(text: str) -> str:
    """Replace what no drawing can show: XML and UTF-8 refuse some of it."""
    return "".join(
        char if char.isprintable() else " " if char.isspace() else "\ufffd"
        for char in text
    )


def flag_shape(text: str) -> str:
    """Return Mermaid's flag around text: quoted where it must be, then without spaces."""
    return (
        f"> {text} ]"
        if re.fullmatch(r"[\w ]+", text)
        else f'>"{escape_mermaid(text)}"]'
    )


def arrow(label: str | None, *, is_dashed: bool) -> str:
    """Return Mermaid's arrow, with its label on it."""
    if label is None:
        return " -.-> " if is_dashed else " --> "
    text = escape_mermaid(label) or " "
    return f' -. "{text}" .-> ' if is_dashed else f' -- "{text}" --> '


_CHAR_WIDTHS = {
    **dict.fromkeys("ijl|'", 0.23),
    **dict.fromkeys('fIrt.,:;!()[]{}/\\-" `', 0.33),
    **dict.fromkeys("mwMW@%", 0.88),
}
"""What is much narrower or wider than the rest, as a part of the font's size."""


def text_width(text: str, size: float) -> float:
    """Estimate how wide text is in a sans-serif font; rather too wide than too narrow."""
    return size * 1.06 * sum(_char_width(char) for char in text)


def _char_width(char: str) -> float:
    if unicodedata.east_asian_width(char) in "WF":
        return 1.0
    return _CHAR_WIDTHS.get(char, 0.7 if char.isupper() else 0.56)


def shorten_middle(text: str, limit: int = 32) -> str:
    """Return text on one line, with its middle left out when it is long."""
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    tail = limit // 3
    return f"{line[: limit - tail - 1]}…{line[-tail:]}"
