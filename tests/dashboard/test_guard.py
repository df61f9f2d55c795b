"""Which requests are answered and which are refused."""

from __future__ import annotations

import itertools

import pytest

from justpipe_actors.dashboard import create_app
from justpipe_actors.dashboard.guard import (
    COOKIE,
    Asked,
    Rules,
    refusal,
    session_of,
)
from justpipe_actors.dashboard.static_files import static_files

from .asgi import Client
from .store import Store


HOSTS = {
    "127.0.0.1:8741": True,
    "localhost:8741": True,
    "LOCALHOST:8741": True,
    "[::1]:8741": True,
    "board.example": True,
    "board.example:443": True,
    "127.0.0.1": False,
    "127.0.0.1:80": False,
    "evil.example": False,
    "evil.example:8741": False,
    "127.0.0.1.evil.example:8741": False,
    "localhost:8741, evil.example": False,
    "": False,
}
"""Hosts, and whether they are served."""

METHODS = {
    "GET": True,
    "HEAD": True,
    "POST": False,
    "PUT": False,
    "PATCH": False,
    "DELETE": False,
    "OPTIONS": False,
}
"""Methods, and whether they only read."""

PATHS = {
    "/api/runs": True,
    "/api/runs/x/logs/stream": True,
    "/api/streams": True,
    "/api": True,
    "/metrics": True,
    "/api/login": False,
    "/runs": False,
    "/runs/x": False,
    "/login": False,
    "/static/app.js": False,
    "/": False,
}
"""Paths, and whether reading them needs the token."""

ORIGINS = {"own": True, "": False, "null": False, "http://evil.example": False}
SITES = {
    "same-origin": True,
    "none": True,
    "": True,
    "cross-site": False,
    "same-site": False,
}
KINDS = {
    "application/json": True,
    "application/json; charset=utf-8": True,
    "text/plain": False,
    "": False,
}
MARKS = {"1": True, "": False}
CREDENTIALS = {
    "Bearer secret": True,
    "bearer secret": True,
    "Bearer wrong": False,
    "Basic secret": False,
    "": False,
}

RULES = Rules(hosts=frozenset({"board.example"}), token="secret")


def asked(method: str, path: str = "/api/runs", **headers: str) -> Asked:
    """Return a request with these headers, without the empty ones."""
    named = {name.replace("_", "-"): text for name, text in headers.items() if text}
    return Asked(method, path, named, 8741)


@pytest.mark.parametrize("host", HOSTS)
def test_every_request_is_checked_by_the_same_table(host: str) -> None:
    """Host, origin, fetch metadata, content type, marker and token must all be right."""
    table = itertools.product(METHODS, ORIGINS, SITES, KINDS, MARKS, CREDENTIALS)
    for method, origin, site, kind, mark, credential in table:
        question = asked(
            method,
            host=host,
            origin=f"http://{host}".lower() if origin == "own" else origin,
            sec_fetch_site=site,
            content_type=kind,
            x_justpipe=mark,
            authorization=credential,
        )
        is_read = HOSTS[host] and SITES[site] and CREDENTIALS[credential]
        is_write = is_read and ORIGINS[origin] and KINDS[kind] and MARKS[mark]

        assert (refusal(question, RULES) is None) == (
            is_read if METHODS[method] else is_write
        ), question


@pytest.mark.parametrize("path", PATHS)
def test_every_path_with_data_needs_the_token(path: str) -> None:
    """Only pages and their files have no data."""
    for credential, is_right in CREDENTIALS.items():
        question = asked("GET", path, host="127.0.0.1:8741", authorization=credential)
        is_let_in = refusal(question, RULES) is None
        assert is_let_in == (is_right or not PATHS[path]), question


@pytest.mark.parametrize("path", PATHS)
def test_an_outer_application_may_check_hosts(path: str) -> None:
    """With ``guard=False`` cross-site requests are still refused, and writes still checked."""
    rules = Rules(is_checking_hosts=False)
    foreign = {"host": "any.example", "sec_fetch_site": "cross-site"}
    write = {"host": "any.example", "origin": "http://any.example", "x_justpipe": "1"}

    assert refusal(asked("GET", path, host="any.example"), rules) is None
    assert refusal(asked("GET", path, **foreign), rules) is not None
    assert refusal(asked("POST", path, **write), rules) is not None
    write["content_type"] = "application/json"
    assert refusal(asked("POST", path, **write), rules) is None


def test_the_first_failed_check_decides_the_response() -> None:
    """A request with a foreign host learns nothing about tokens."""
    assert refusal(asked("GET"), RULES).status == 400  # type: ignore[union-attr]
    refused = refusal(asked("GET", host="evil.example"), RULES)
    assert refused is not None
    assert refused.code == "foreign_host"
    assert refused.detail == (
        "This host is not served; allow it with --allowed-host, or with "
        "allowed_hosts= of create_app."
    )
    own = "127.0.0.1:8741"
    assert refusal(asked("GET", host=own), RULES).status == 401  # type: ignore[union-attr]
    assert refusal(asked("GET", "/runs", host=own), RULES) is None
    assert refusal(asked("GET", "/static/app.js", host=own), RULES) is None


def test_a_link_from_another_site_opens_a_page_without_data() -> None:
    """The data come only on a request of the page's script."""
    link = {
        "host": "127.0.0.1:8741",
        "sec_fetch_site": "cross-site",
        "sec_fetch_mode": "navigate",
        "sec_fetch_dest": "document",
    }

    assert refusal(asked("GET", "/runs", **link), Rules()) is None
    assert refusal(asked("GET", "/api/runs", **link), Rules()) is not None


def test_the_cookie_proves_the_token_without_having_it() -> None:
    """It is accepted in place of the header; a wrong one is not."""
    own = "127.0.0.1:8741"
    good = f"{COOKIE}={session_of('secret')}"

    assert "secret" not in session_of("secret")
    assert refusal(asked("GET", host=own, cookie=good), RULES) is None
    assert refusal(asked("GET", host=own, cookie=f"{COOKIE}=secret"), RULES) is not None
    assert refusal(asked("GET", host=own, cookie="\x00=;;"), RULES) is not None


TRAVERSAL = [
    "/static/../shell.html",
    "/static/..%2fapp.py",
    "/static/%2e%2e/app.py",
    "/static/..\\app.py",
    "/static//etc/passwd",
    "/static/\x00app.js",
    "/static/base/../../app.py",
    "/static/shell.html",
    "/static/",
    "/static/APP.JS",
    "/static/app.js/",
    "/static/./app.js",
    "/static/base/../app.js",
    "/static/%2e%2e%2fapp.py",
    "/static/..%252fapp.py",
    "/static/..%c0%afapp.py",
    "/static/....//app.py",
    "/static/..;/app.py",
    "/static/\\..\\app.py",
    "/static/C:\\app.py",
    "/static/file:///etc/passwd",
    "/static/app.js\x00.css",
    "/static/\uff0e\uff0e/app.py",
    "/static/__init__.py",
    "/static/..",
    "/static/.",
    "/static/base",
    "/static/base/",
    "/static",
]


@pytest.mark.parametrize("path", TRAVERSAL)
async def test_no_path_leads_out_of_the_packaged_files(store: Store, path: str) -> None:
    """Files are found by their exact names."""
    answer = await Client(create_app(store.registry)).get(path)

    assert answer.status == 404


async def test_every_packaged_file_is_served_with_its_type(store: Store) -> None:
    """Its headers forbid framing and other types."""
    client = Client(create_app(store.registry))

    for name in static_files():
        if name == "shell.html":
            continue
        answer = await client.get(f"/static/{name}")
        assert answer.status == 200, name
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_an_action_that_is_not_allowed_has_no_address(store: Store) -> None:
    """By default the dashboard is read-only."""
    run_id = await store.run(store.pipe())
    client = Client(create_app(store.registry))

    answer = await client.post(f"/api/runs/{run_id}/cancel", {})

    assert answer.status in (404, 405)
    assert (await client.get("/api/meta")).json()["read_only"] is True


async def test_actions_of_a_read_only_dashboard_are_named_in_the_log(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """``actions=`` without ``read_only=False`` allows nothing, and the log has the remedy."""
    app = create_app(store.registry, actions={"cancel", "answer"}, token="t")

    meta = (await Client(app).get("/api/meta", authorization="Bearer t")).json()
    assert (meta["read_only"], meta["actions"]) == (True, [])
    (record,) = caplog.records
    assert record.getMessage() == (
        "The dashboard is read-only and serves none of its actions (answer, cancel): "
        "pass read_only=False to allow them."
    )


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"actions": {"cancel"}}, "token"),
        ({"actions": {"explode"}, "token": "t"}, "explode"),
    ],
)
def test_actions_are_checked_when_the_application_is_made(
    store: Store, options: dict[str, object], word: str
) -> None:
    """They need a token, and their names must exist."""
    with pytest.raises(ValueError, match=word):
        create_app(store.registry, read_only=False, **options)  # type: ignore[arg-type]


async def test_cleanup_deletes_the_previewed_runs_only(
    store: Store,
) -> None:
    """Later runs stay."""
    pipe = store.pipe()
    first = await store.run(pipe)
    app = create_app(
        store.registry, read_only=False, actions={"cleanup"}, token="secret"
    )
    client = Client(app)
    head = {"authorization": "Bearer secret"}
    (pipeline,) = (await client.get("/api/pipelines", **head)).json()
    path = f"/api/pipelines/{pipeline['hash']}/cleanup"

    preview = (await client.post(path, {"keep": 0}, **head)).json()
    second = await store.run(pipe)
    done = (await client.post(path, {"run_ids": preview["run_ids"]}, **head)).json()

    assert preview["run_ids"] == done["deleted"] == [first]
    runs = (await client.get("/api/runs", **head)).json()["runs"]
    assert [run["run_id"] for run in runs] == [second]


async def test_a_browser_logs_in_with_the_token(store: Store) -> None:
    """It gets a cookie that scripts cannot read and other sites cannot send."""
    client = Client(create_app(store.registry, token="secret"))

    wrong = await client.post("/api/login", {"token": "guess"})
    right = await client.post("/api/login", {"token": "secret"})
    cookie = right.headers["set-cookie"]
    answer = await client.get("/api/meta", cookie=cookie.split(";")[0])

    assert wrong.status == 401
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert answer.status == 200
    assert (await client.get("/api/meta")).status == 401


async def test_a_body_that_is_too_long_is_not_read(store: Store) -> None:
    """The limit is a megabyte."""
    client = Client(create_app(store.registry, token="secret"))

    answer = await client.post("/api/login", {"token": "x" * 1_000_001})

    assert answer.status == 422
