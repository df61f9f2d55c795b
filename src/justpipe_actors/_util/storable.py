"""Values of durable runs as strict JSON: the decoded value equals the original.

``Storable`` holds the classes that may come back, and makes a ``Codec`` for each
annotation.  A codec writes a value as plain JSON data and reads it again; a value that it
cannot give back exactly is refused with the path to it.  There is no pickle: reading
builds nothing but builtins and the classes that annotations or ``types=`` name.

cattrs and ``codec.to_plain`` were not used: the former converts values that do not fit
(``1`` to ``"1"``), the latter never fails.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import NotStorable, UnreadableDataError
from .storable_types import make_coder
from .storable_values import Coder, KnownTypes, Plain, Refused


class Storable:
    """The classes that one pipe's values may have, and the codecs of its annotations.

    Args:
        types: classes of values that are allowed although no annotation names them.
        blanks: annotations of values that are not stored and are read as None.
    """

    def __init__(
        self, types: Iterable[type] = (), blanks: Iterable[object] = ()
    ) -> None:
        self._known = KnownTypes(make_coder)
        for one in blanks:
            self._known.add_blank(one)
        for one in types:
            self._known.coder(one)

    def codec(self, hint: object, place: str) -> Codec:
        """Return the codec of values with an annotation.

        Args:
            hint: the annotation; ``Any`` takes builtins and the known classes.
            place: what the value is called in errors: ``state``, ``item``.
        """
        return Codec(self._known.coder(hint), place)


class Codec:
    """Writes and reads values of one annotation, at one place.

    Args:
        coder: does the work.
        place: what the value is called in errors: ``state``, ``item``.
    """

    def __init__(self, coder: Coder, place: str) -> None:
        self._coder = coder
        self.place = place

    def encode(self, value: object) -> Plain:
        """Return the value as JSON data, a copy.

        Raises:
            NotStorable: the value or a part of it would be read as a different one.
        """
        try:
            return self._coder.encode(value)
        except Refused as error:
            path = self.place + "".join(error.path)
            facts = (path, error.kind, error.reason)
            if error.remedy is None:
                raise NotStorable(*facts) from None
            raise NotStorable(*facts, error.remedy) from None
        except RecursionError:
            reason = "it contains itself, or is nested too deeply"
            remedy = "Refer to its parts by keys, and keep them beside each other."
            kind = type(value).__qualname__
            raise NotStorable(self.place, kind, reason, remedy) from None

    def decode(self, plain: Plain) -> Any:
        """Return the value that was encoded.

        Raises:
            UnreadableDataError: the data are of another annotation.
        """
        try:
            return self._coder.decode(plain)
        except UnreadableDataError:
            raise
        except Exception as error:
            problem = f"{self.place} does not fit: {error!r}"
            raise UnreadableDataError(self._coder.name, problem) from error
