"""Opens pages, and waits for what they show."""

from __future__ import annotations

from playwright.sync_api import Page


READY = "html[data-ready]"
"""The script of a page has run and its first data are there."""

CONNECTED = "#connection:is([data-state=idle], [data-state=live])"
"""The page hears what it wants to hear, if there is anything."""

COUNT_WORK = """
(() => {
  const { setTimeout, clearTimeout, requestAnimationFrame, cancelAnimationFrame, fetch } = globalThis;
  let requests = 0;
  const waiting = new Set();
  const until = (promise) => {
    const done = () => setTimeout(() => { requests -= 1; }); // after what awaits it
    requests += 1;
    promise.then(done, done);
    return promise;
  };
  const later = (schedule) => (action, ...rest) => {
    const run = (...values) => { waiting.delete(id); action(...values); };
    const id = schedule(run, ...rest);
    if (!(rest[0] > 1000)) waiting.add(id); // reconnecting to a server is no work
    return id;
  };
  const never = (cancel) => (id) => { waiting.delete(id); cancel(id); };
  // The numbers of timers and of frames may be equal, so those of frames are negative here.
  const frame = (action) => -requestAnimationFrame(action);
  Object.assign(globalThis, {
    fetch: (...request) => until(fetch(...request)),
    setTimeout: later((action, delay) => setTimeout(action, delay)),
    clearTimeout: never((id) => clearTimeout(id)),
    requestAnimationFrame: later(frame),
    cancelAnimationFrame: never((id) => cancelAnimationFrame(-id)),
    async whenQuiet() {
      for (let frames = 0; frames < 2; ) {
        await new Promise(requestAnimationFrame);
        frames = requests || waiting.size ? 0 : frames + 1;
      }
    },
  });
  for (const name of ["text", "json", "blob", "arrayBuffer"]) {
    const read = Response.prototype[name];
    Response.prototype[name] = function () { return until(read.call(this)); };
  }
})();
"""
"""Counts what a page waits for: replies, timers and frames.  A page runs it first of all."""

FAKE_STREAMS = """
delete globalThis.SharedWorker;
globalThis.EventSource = class extends EventTarget {
  constructor() {
    super();
    globalThis.hear = (...message) => this.dispatchEvent(new MessageEvent("topic", { data: JSON.stringify(message) }));
    setTimeout(() => this.onopen());
  }
  close() {}
};
"""
"""Lets a test say what the server streams: ``hear(topic, event, data)``."""


def open_page(page: Page, address: str) -> None:
    """Open a page and wait until its script has run and its first data are there."""
    page.goto(address)
    page.wait_for_selector(READY)


def wait_quiet(page: Page) -> None:
    """Wait until a page has shown everything that it requested."""
    page.evaluate("whenQuiet()")


def settled(page: Page, address: str) -> None:
    """Open a page and wait until it has loaded everything."""
    open_page(page, address)
    page.wait_for_selector(CONNECTED, state="attached")
    wait_quiet(page)
