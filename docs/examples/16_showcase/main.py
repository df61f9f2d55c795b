"""A pipe with everything in it: videos are cut, rendered, captioned and published.

Three videos: a quick one, a careful one with a scene that fails once, and one whose
encoder does not come to an end.  Nothing is really encoded; steps wait instead.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import anyio

from justpipe_actors import EventType, Meta, Pipe
from justpipe_actors.observability import TimelineVisualizer


@dataclass(frozen=True)  # map workers share it; its sets and dicts can still be filled
class Video:
    title: str
    quality: str
    encoding_takes: float = 0.1
    torn_scenes: set[int] = field(default_factory=set)
    captions: dict[str, str] = field(default_factory=dict)


@dataclass
class Studio:
    meta: Meta = field(init=False)


def takes(seconds: float) -> Callable[[], Awaitable[None]]:
    """Stand for work."""

    async def work() -> None:
        await anyio.sleep(seconds)

    return work


# A pipe of its own, for the captions.
captioning = Pipe(Video, Studio, name="captioning")
captioning.step("transcribe", to="languages")(takes(0.04))


@captioning.map(each="translate")
def languages() -> list[str]:
    return ["de", "fr", "pt"]


@captioning.step
async def translate(language: str, video: Video) -> None:
    await anyio.sleep(0.03)
    video.captions[language] = f"[{video.title}]"


pipe = Pipe(
    Video, Studio, name="video render", metadata={"team": "media"}, log_state=False
)
timelines = TimelineVisualizer(width=96)
pipe.add_observer(timelines)


@pipe.step(to=["scenes", "extract_audio", "captions"])
async def probe(video: Video, studio: Studio) -> None:
    """Note something about the run; FINISH carries it."""
    studio.meta.run.set("title", video.title)
    studio.meta.run.add_tag(studio.meta.pipeline.get("team"))


@pipe.map(each="render_scene", to="stitch", max_concurrency=2)
def scenes() -> Iterator[int]:
    yield from range(5)


@pipe.step(retries=2, retry_wait_min=0.01, retry_wait_max=0.02)
async def render_scene(scene: int, video: Video, studio: Studio) -> None:
    """Note something about the invocation; its STEP_END carries it."""
    await anyio.sleep(0.02)
    if scene in video.torn_scenes:
        video.torn_scenes.discard(scene)
        msg = f"scene {scene} is torn"
        raise OSError(msg)
    studio.meta.step.record_metric("frames", 24 + scene)


@pipe.switch(to={"draft": "encode_fast", "final": "encode_well"})
async def choose_encoder(video: Video) -> str:
    return video.quality


@pipe.step(to="mux", timeout=0.5)
async def encode_well(video: Video) -> None:
    await anyio.sleep(video.encoding_takes)


@pipe.sub(pipeline=captioning, to="mux")
async def captions(video: Video) -> Video:
    return video


# What only waits needs no function of its own.
pipe.step("stitch", to="choose_encoder")(takes(0.02))
pipe.step("encode_fast", to="mux")(takes(0.03))
pipe.step("extract_audio", to="clean_audio")(takes(0.03))
pipe.step("clean_audio", to="mux")(takes(0.05))
pipe.step("mux", to=["thumbnail", "checksum"])(takes(0.01))
pipe.step("thumbnail", to="publish")(takes(0.02))
pipe.step("checksum", to="publish")(takes(0.01))


@pipe.step
async def publish() -> AsyncIterator[str]:
    for percent in (50, 100):
        yield f"{percent} %"
        await anyio.sleep(0.01)


async def main() -> None:
    print("VIDEO RENDER PIPELINE")
    results = []
    for video in (
        Video("Trailer", "draft"),
        Video("Film", "final", torn_scenes={3}),
        Video("Director's cut", "final", encoding_takes=60),
    ):
        async with pipe.run(video, Studio()) as run:
            async for event in run:
                if event.type is EventType.TOKEN:
                    print(f"  {video.title}: {event.payload} published")
            end = await run.wait()
        results.append((video.title, end))
        if video.title == "Film":
            print(f"\n{timelines.for_run(run.run_id).render_ascii(max_steps=30)}\n")
    print("RESULTS")
    for title, end in results:
        error = f"{end.failed_step}: {end.error}" if end.error else ""
        print(f"  {title:15} {end.status.value:8} {end.duration_s:4.2f} s  {error}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    anyio.run(main, backend=options.parse_args().backend)
