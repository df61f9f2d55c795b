"""A scripted model on loopback that speaks the chat-completions API, with streaming.

    python server.py            # prints its address, and answers until it is ended

It answers as real servers do: server-sent events whose ``data`` are JSON chunks, texts
in pieces, the arguments of tool calls in pieces, and ``[DONE]`` at the end.  What it says
is a script: it calls tools for each city in the question, and then tells the results.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


Delta = dict[str, Any]


def reply(messages: list[dict[str, Any]]) -> Iterator[Delta]:
    """Yield what the model says next, in pieces."""
    results = [m["content"] for m in messages if m["role"] == "tool"]
    question = next(m["content"] for m in messages if m["role"] == "user")
    cities = re.findall(r"\b(?:Lisbon|Oslo|Rome)\b", question)
    if len(results) < len(cities):
        yield from in_pieces("Let me look that up. ")
        for index, city in enumerate(cities):
            yield from tool_call(index, "temperature", {"city": city})
    elif len(results) == len(cities) and "Fahrenheit" in question:
        yield from in_pieces("Now the other unit. ")
        for index, result in enumerate(results):
            yield from tool_call(index, "to_fahrenheit", {"celsius": float(result)})
    else:
        values = results[-len(cities) :]
        found = [f"{c} has {v} degrees" for c, v in zip(cities, values, strict=True)]
        yield from in_pieces(" and ".join(found) + ".")


def in_pieces(text: str) -> Iterator[Delta]:
    for word in re.findall(r"\S+\s*", text):
        yield {"content": word}


def tool_call(index: int, name: str, arguments: dict[str, Any]) -> Iterator[Delta]:
    """Yield one call: its name first, then its arguments, which come in two halves."""
    text = json.dumps(arguments)
    head = {"id": f"call_{index}", "type": "function"}
    pieces: list[dict[str, Any]] = [
        {**head, "function": {"name": name, "arguments": ""}},
        {"function": {"arguments": text[: len(text) // 2]}},
        {"function": {"arguments": text[len(text) // 2 :]}},
    ]
    for piece in pieces:
        yield {"tool_calls": [{"index": index, **piece}]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        size = int(self.headers["content-length"])
        request = json.loads(self.rfile.read(size))
        if self.path != "/v1/chat/completions" or not request.get("stream"):
            self.send_error(404, "this server streams chat completions only")
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for delta in reply(request["messages"]):
            time.sleep(0.01)  # noqa: TID251 - this is a thread of the server
            self.say({"choices": [{"index": 0, "delta": delta}]})
        self.say("[DONE]")
        self.close_connection = True

    def say(self, data: object) -> None:
        text = data if isinstance(data, str) else json.dumps(data)
        self.wfile.write(f"data: {text}\n\n".encode())

    def log_message(self, *_: object) -> None:
        """Print nothing."""


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}/v1", flush=True)
        server.serve_forever()
