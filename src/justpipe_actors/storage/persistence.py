"""The persistence options of one pipe: store, policy and recorders.

Runs of one pipe share a store and its writer thread.  The folder of the store has the
name of the pipe's hash and is created when the first run begins, not before.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, get_args

import attrs

from .._util.environment import expand_home
from ..abc import Redact, StorageBackend
from ..codec import to_plain
from ..errors import DefinitionError
from ..events import PERSIST_LIMIT
from .chunk_encoder import Encoder, StatePolicy
from .paths import DATABASE, DESCRIPTION, replace_text, storage_root
from .recorder import EventQueue, Recorder
from .redaction import Redaction
from .sqlite import SQLiteBackend
from .writer import Writer


Storage = StorageBackend | str | Path | None
"""A store, a storage root, or None for the default root."""

STORAGE_TYPES: Any = (StorageBackend, str, Path, type(None))
"""The types of ``Storage``, for ``isinstance``."""

DEFAULT_FLUSH_EVENTS = 16_384
"""Default number of queued events at which the recorder requests a flush."""

_MEMORY_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@attrs.frozen
class StoredDefinition:
    """The definition that is stored with its runs."""

    pipeline_hash: str
    """Names its folder."""
    text: str
    """``Pipe.describe()`` as JSON, indented by 2."""
    fingerprint: str
    """32 hex characters over all of it."""


def stored_definition(description: dict[str, Any]) -> StoredDefinition:
    """Return a definition's description, ready to be stored."""
    plain = to_plain(description)
    # The memory address in a default `repr` differs between processes.
    canonical = _MEMORY_ADDRESS.sub("", json.dumps(plain, sort_keys=True))
    return StoredDefinition(
        pipeline_hash=str(plain["pipeline_hash"]),
        text=json.dumps(plain, indent=2),
        fingerprint=hashlib.sha256(canonical.encode()).hexdigest()[:32],
    )


@attrs.define(eq=False)
class Persistence:
    """Opens recorders for the runs of one pipe.

    Raises:
        DefinitionError: one of the options is invalid.
    """

    name: str
    """Name of the pipe."""
    storage: Storage = None
    """A store, or a storage root; None is the user's default root."""
    flush_interval: int | None = None
    """Queued events that trigger a flush; None or 0 uses the default."""
    state: StatePolicy = "full"
    """How much of the state is stored."""
    limit: int = PERSIST_LIMIT
    """Characters of one stored payload."""
    redact: Redact | None = None
    """Rewrites events before they are stored."""
    _definition: StoredDefinition | None = attrs.field(default=None, init=False)
    _writer: Writer | None = attrs.field(default=None, init=False)
    _folder: Path | None = attrs.field(default=None, init=False)
    _root: Path | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        if self.state not in get_args(StatePolicy):
            choices = "'full', 'diff' or 'none'"
            _raise_invalid_option("persist_state", choices, self.state)
        for option, value in (
            ("persist_limit", self.limit),
            ("flush_interval", self.flush_interval or 0),
        ):
            if not _is_count(value):
                _raise_invalid_option(option, "a whole number of at least 0", value)
        if not isinstance(self.storage, STORAGE_TYPES):
            _raise_invalid_option("storage", "a path or a StorageBackend", self.storage)
        if isinstance(self.storage, str | Path):
            self._root = expand_home(self.storage)

    def recorder(self, run_id: str, describe: Callable[[], dict[str, Any]]) -> Recorder:
        """Return the recorder of one run; it creates nothing before the run begins.

        Args:
            run_id: the run's id.
            describe: returns ``Pipe.describe()``; asked once, definitions are frozen.
        """
        if self._definition is None:
            self._definition = stored_definition(describe())
        return Recorder(
            run_id=run_id,
            writer=self._current_writer(self._definition),
            encoder=Encoder(run_id, self.state, self.limit),
            queue=EventQueue(self.state != "none"),
            flush_every=self.flush_interval or DEFAULT_FLUSH_EVENTS,
            redaction=Redaction(self.redact, run_id) if self.redact else None,
            fingerprint=self._definition.fingerprint,
        )

    def open_store(
        self, pipeline_hash: str, *, read_only: bool = True
    ) -> StorageBackend:
        """Return the store of a pipe of this hash, by default for readers.

        Args:
            pipeline_hash: the pipe's hash.
            read_only: whether nothing may be written.
        """
        if self.storage is not None and not isinstance(self.storage, str | Path):
            return self.storage
        path = self.root / pipeline_hash / DATABASE
        return SQLiteBackend(path, read_only=read_only or not path.is_file())

    @property
    def root(self) -> Path:
        """The storage root; the default one when runs are kept by a backend."""
        return self._root or storage_root()

    def _current_writer(self, definition: StoredDefinition) -> Writer:
        """Return the writer for where runs are stored now."""
        folder = self._folder_of(definition)
        if self._writer is None or folder != self._folder:
            store = self.storage

            def open_store() -> StorageBackend:
                if folder is not None:
                    return _open_folder(folder, definition)
                assert isinstance(store, StorageBackend)
                return _save_definition(store, definition)

            self._writer, self._folder = Writer(self.name, open_store), folder
        return self._writer

    def _folder_of(self, definition: StoredDefinition) -> Path | None:
        if self._root is not None:
            return self._root / definition.pipeline_hash
        return (
            storage_root() / definition.pipeline_hash if self.storage is None else None
        )


def _open_folder(folder: Path, definition: StoredDefinition) -> StorageBackend:
    """Open the store in a folder, and write the pipeline's description into it."""
    store = SQLiteBackend(folder / DATABASE)
    file = folder / DESCRIPTION
    if not file.exists() or file.read_text("utf-8", "replace") != definition.text:
        replace_text(file, definition.text)
    return _save_definition(store, definition)


def _save_definition(
    store: StorageBackend, definition: StoredDefinition
) -> StorageBackend:
    store.save_definition(definition.fingerprint, definition.text)
    return store


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _raise_invalid_option(option: str, expected: str, value: object) -> NoReturn:
    msg = f"{option} must be {expected}, not {value!r:.100}."
    raise DefinitionError(msg)
