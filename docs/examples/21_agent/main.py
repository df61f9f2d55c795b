"""An agent: a model streams text and calls tools, until it has the answer.

    python main.py                                   # with the scripted model of server.py
    python main.py --url http://localhost:11434/v1 --model qwen3 --ask "..."

Any server will do that speaks the chat-completions API with streaming and tool calls.
The pipe is a loop: ask the model, run the tools that it calls side by side, ask again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING, Any

import anyio
from anyio.streams.text import TextReceiveStream

from justpipe_actors import EventType, Pipe


if TYPE_CHECKING:
    import httpx


QUESTION = "Is it warmer in Lisbon or in Oslo? Answer in Fahrenheit."
MOST_LAPS = 6
"""How often the model may be asked about one question."""

CELSIUS = {"Lisbon": 21.0, "Oslo": 4.0, "Rome": 18.0}


async def temperature(city: str) -> str:
    """Return the temperature of a city in degrees Celsius."""
    await anyio.sleep(0.1)  # a service somewhere
    return str(CELSIUS[city])


def to_fahrenheit(celsius: float) -> str:
    """Convert degrees Celsius to degrees Fahrenheit."""
    return f"{celsius * 9 / 5 + 32:.0f}"


def described(func: Any, **properties: str) -> dict[str, Any]:
    """Describe a tool as the API wants it."""
    schema = {name: {"type": kind} for name, kind in properties.items()}
    parameters = {"type": "object", "properties": schema, "required": [*properties]}
    about = {"name": func.__name__, "description": func.__doc__}
    return {"type": "function", "function": {**about, "parameters": parameters}}


TOOLS: dict[str, Callable[..., Any]] = {
    "temperature": temperature,
    "to_fahrenheit": to_fahrenheit,
}
DESCRIPTIONS = [
    described(temperature, city="string"),
    described(to_fahrenheit, celsius="number"),
]


@dataclass
class Call:
    id: str
    name: str
    arguments: str = ""


@dataclass
class Chat:
    messages: list[dict[str, Any]]
    calls: list[Call] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    laps: int = 0


@dataclass
class Server:
    """Where the model is; the context of a run."""

    url: str
    model: str


pipe = Pipe(Chat, Server, name="agent")


@pipe.resource
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Open one pool of connections for all runs."""
    import httpx  # noqa: PLC0415 - needed for a run, not for a drawing

    async with httpx.AsyncClient(timeout=30) as opened:
        yield opened


@pipe.step(to="decide", timeout=60)
async def ask_model(
    chat: Chat, server: Server, client: httpx.AsyncClient
) -> AsyncIterator[str]:
    """Stream what the model says, and put its tool calls together."""
    chat.laps += 1
    text = ""
    calls: list[Call] = []
    async for delta in deltas(client, server, chat.messages):
        if piece := delta.get("content"):
            text += piece
            yield piece
        for part in delta.get("tool_calls") or []:
            function = part["function"]
            if part["index"] == len(calls):
                calls.append(Call(part["id"], function["name"]))
            calls[part["index"]].arguments += function["arguments"]
    chat.calls = calls
    chat.messages.append(message(text, calls))


async def deltas(
    client: httpx.AsyncClient, server: Server, messages: list[dict[str, Any]]
) -> AsyncIterator[dict[str, Any]]:
    """Yield the pieces of one answer, from the server-sent events."""
    body = {"model": server.model, "messages": messages, "stream": True}
    body["tools"] = DESCRIPTIONS
    url = f"{server.url}/chat/completions"
    key = {"authorization": f"Bearer {os.environ.get('MODEL_API_KEY', 'none')}"}
    async with client.stream("POST", url, json=body, headers=key) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            data = line.removeprefix("data: ")
            if data != line and data != "[DONE]":
                yield json.loads(data)["choices"][0]["delta"]


def message(text: str, calls: list[Call]) -> dict[str, Any]:
    """Return what the model said as the next request repeats it."""
    said: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        said["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in calls
        ]
    return said


@pipe.switch(to={"tools": "tools", "answer": "answer", "too long": "give_up"})
async def decide(chat: Chat) -> str:
    if not chat.calls:
        return "answer"
    return "tools" if chat.laps < MOST_LAPS else "too long"


@pipe.map(each="call_tool", collect="results", to="note")
def tools(chat: Chat) -> list[Call]:
    return chat.calls


def tell_model(error: Exception) -> str:
    """Give an error as the result of a tool, because the model can read it."""
    return f"error: {error!r}"


@pipe.step(timeout=10, on_error=tell_model)
async def call_tool(call: Call) -> str:
    result = TOOLS[call.name](**json.loads(call.arguments))
    return result if isinstance(result, str) else str(await result)


@pipe.step(to="ask_model")
async def note(chat: Chat) -> None:
    for call, result in zip(chat.calls, chat.results, strict=True):
        chat.messages.append(
            {"role": "tool", "tool_call_id": call.id, "content": result}
        )


@pipe.step
async def answer(chat: Chat) -> None:
    """The last message is the answer."""


@pipe.step
async def give_up(chat: Chat) -> None:
    msg = f"The model still calls tools after {chat.laps} laps"
    raise RuntimeError(msg)


async def talk(server: Server, question: str) -> Chat:
    """Ask one question, and print what happens."""
    print(f"> {question}")
    chat = Chat([{"role": "user", "content": question}])
    async with pipe.run(chat, server) as run:
        async for event in run:
            if event.type is EventType.TOKEN:
                print(event.payload, end="", flush=True)
            elif event.type is EventType.STEP_START and event.stage == "tools":
                print()
            elif event.type is EventType.STEP_START and event.stage == "note":
                for call, result in zip(chat.calls, chat.results, strict=True):
                    print(f"  {call.name}({call.arguments}) -> {result}")
    print()
    return chat


@asynccontextmanager
async def scripted_model() -> AsyncIterator[str]:
    """Start server.py as a process of its own, and yield its address."""
    line = [sys.executable, str(Path(__file__).with_name("server.py"))]
    async with await anyio.open_process(line, stdout=PIPE, stderr=None) as process:
        assert process.stdout is not None
        try:
            yield (await TextReceiveStream(process.stdout).receive()).strip()
        finally:
            process.kill()


async def main(url: str = "", model: str = "scripted", ask: str = QUESTION) -> None:
    if url:
        await talk(Server(url, model), ask)
        return
    async with scripted_model() as address:
        chat = await talk(Server(address, model), ask)
    print(f"{chat.laps} laps, {len(chat.messages)} messages")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="")
    parser.add_argument("--model", default="scripted")
    parser.add_argument("--ask", default=QUESTION)
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    options = parser.parse_args()
    anyio.run(main, options.url, options.model, options.ask, backend=options.backend)
