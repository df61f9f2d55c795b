"""Users' objects as text, whatever they do when asked.

An exception whose ``__str__`` raises, a state whose ``__repr__`` raises: neither may
take down the run that only wanted to report on them.
"""

from __future__ import annotations


def text_of(thing: object, *, typed: bool = False, limit: int | None = None) -> str:
    """Return ``str(thing)``, or a stand-in when that raises.

    Args:
        thing: anything.
        typed: put the type's name in front.
        limit: most characters of the text proper.
    """
    try:
        text = str(thing)
    except Exception as error:  # noqa: BLE001 - that is what this page is for
        text = f"<{type(thing).__name__} whose text raised {type(error).__name__}>"
    if limit is not None:
        text = text[:limit]
    return f"{type(thing).__name__}: {text}" if typed else text


def repr_of(thing: object, *, limit: int = 200) -> str:
    """Return ``repr(thing)``, or a stand-in when that raises."""
    try:
        text = repr(thing)
    except Exception as error:  # noqa: BLE001 - that is what this page is for
        text = f"<{type(thing).__name__} whose repr raised {type(error).__name__}>"
    return text if len(text) <= limit else text[: limit - 3] + "..."
