"""``dashboard``: look at stored runs in a browser."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import attrs
import click

from ...storage.registry import PipelineRegistry
from ..errors import CommandFailed, InvalidInput
from ..formatting import printable
from ..journal_options import default_journal, opened
from ..options import storage_option


LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Interfaces that only this machine reaches."""

MISSING = "The dashboard needs its extra: pip install 'justpipe_actors[dashboard]' (no {name})."


@attrs.frozen(kw_only=True)
class DashboardOptions:
    """What the command was asked for."""

    registry: PipelineRegistry
    """Finds the stored runs."""
    journal: str | None
    """Path of the journal of durable runs."""
    host: str
    """Address that the server listens at."""
    port: int | None
    """The port; None tries the default one and those after it."""
    is_opened: bool
    """Whether a browser is opened."""
    actions: tuple[str, ...]
    """Names of the actions that are served."""
    token_file: Path | None
    """The file that has the token."""
    allowed_hosts: tuple[str, ...]
    """Hosts that are served besides the loopback names."""
    is_insecure: bool
    """Whether others may read without a token."""
    has_payloads: bool
    """Whether payloads are shown."""


def _actions(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[str, ...]:
    return tuple(part for part in (value or "").split(",") if part)


@click.command("dashboard")
@storage_option
@click.option(
    "--journal",
    metavar="PATH",
    help="The journal of durable runs; if left out the default one, if it is there.",
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="The interface to listen at."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="The port; 8741 if left out, or the next that is free.",
)
@click.option(
    "--no-open", "is_opened", flag_value=False, default=True, help="Open no browser."
)
@click.option(
    "--allow-actions",
    "actions",
    metavar="WORDS",
    callback=_actions,
    help="Allowed actions, separated by commas: cleanup, answer, cancel, redrive.",
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with the token that requests need; by default it is generated if needed.",
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="A host name that is served, too; may be given several times.",
)
@click.option(
    "--insecure", "is_insecure", is_flag=True, help="Let others read without a token."
)
@click.option(
    "--no-payloads",
    "has_payloads",
    flag_value=False,
    default=True,
    help="Show no payloads and no states.",
)
def command(**options: Any) -> None:
    """Show stored runs in a browser, until Ctrl-C.

    Only this machine can read them, unless another --host is given; it needs a token.
    """
    run_dashboard(DashboardOptions(**options))


def run_dashboard(options: DashboardOptions) -> None:
    """Serve until a signal comes.

    Raises:
        CommandFailed: the extra is not installed, there is no such journal, or the port
            is taken.
        InvalidInput: the options do not fit each other.
    """
    token = token_for(options)
    try:
        from ..dashboard_server import (  # noqa: PLC0415 - needs the extra
            create_app,
            open_listener,
            page_address,
            serve,
        )
    except ModuleNotFoundError as error:
        raise CommandFailed(MISSING.format(name=error.name)) from error
    with ExitStack() as stack:
        where = journal_for(options)
        journal = None if where is None else stack.enter_context(opened(where))
        try:
            app = create_app(
                options.registry,
                journal=journal,
                read_only=not options.actions,
                actions=options.actions,
                token=token,
                allowed_hosts=options.allowed_hosts,
                has_payloads=options.has_payloads,
            )
        except ValueError as error:
            raise InvalidInput(str(error)) from error
        listener = open_listener(options.host, options.port)
        page = page_address(listener, token)
        anyio.run(partial(serve, app, listener, page, is_opened=options.is_opened))


def journal_for(options: DashboardOptions) -> str | None:
    """Return the journal that was named, else the default one if it is there."""
    if options.journal is not None:
        return options.journal
    default = default_journal()
    return default if "://" in default or Path(default).is_file() else None


def token_for(options: DashboardOptions) -> str | None:
    """Return the token that requests need; None when none is needed.

    Raises:
        InvalidInput: the file of the token is empty.
    """
    if options.token_file is not None:
        token = options.token_file.read_text(encoding="utf-8").strip()
        if not token:
            msg = f"{printable(options.token_file)} is empty: write a token into it."
            raise InvalidInput(msg)
        return token
    is_open = options.host not in LOOPBACK and not options.is_insecure
    return secrets.token_urlsafe(24) if is_open or options.actions else None
