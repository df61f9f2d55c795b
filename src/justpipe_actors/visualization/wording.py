"""How names and keys are worded, and what Mermaid would misread in them."""

from __future__ import annotations

import re


_ENTITIES = {
    **{ord(one): f"#{ord(one)};" for one in '#&"<>`\\'},
    ord("\n"): " ",
    ord("\r"): " ",
}


def title(name: str) -> str:
    """Return a step's name as it is shown."""
    return name.replace("_", " ").title()


def escape(text: str) -> str:
    """Return text that means itself between Mermaid's quotes."""
    return text.translate(_ENTITIES)


def bare(text: str) -> str:
    """Return text as it may stand without quotes, with them where it may not."""
    return text if re.fullmatch(r"[\w ]+", text) else f'"{escape(text)}"'


def arrow(label: str | None, *, is_dashed: bool) -> str:
    """Return Mermaid's arrow, with its label on it."""
    if label is None:
        return " -.-> " if is_dashed else " --> "
    text = escape(label) or " "
    return f' -. "{text}" .-> ' if is_dashed else f' -- "{text}" --> '
