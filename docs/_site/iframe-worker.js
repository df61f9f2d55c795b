/* Runs the search where a page is opened as a file.
 *
 * Browsers refuse `new Worker(url)` for file: addresses.  There this class runs the
 * worker's script in a hidden frame and passes messages between the two.
 */
"use strict";
if (location.protocol === "file:") {
  window.Worker = class IFrameWorker extends EventTarget {
    constructor(url) {
      super();
      this.onmessage = this.onerror = null;
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.setAttribute("aria-hidden", "true");
      document.documentElement.append(this.frame);
      this.start(url);
    }

    start(url) {
      const inside = this.frame.contentWindow;
      const page = inside.document;
      // The script talks to its parent by the names that a worker has.
      // A worker's messages arrive later, never inside the call that sends them.
      inside.postMessage = (data) => setTimeout(() => this.receive(data));
      inside.importScripts = (...scripts) =>
        Promise.all(scripts.map((script) => this.load(page, script)));
      this.load(page, url).then(() => {
        this.isReady = true;
        this.waiting.splice(0).forEach((data) => this.postMessage(data));
      });
    }

    load(page, url) {
      return new Promise((resolve, reject) => {
        const script = page.createElement("script");
        script.src = new URL(url, document.baseURI).href;
        script.onload = resolve;
        script.onerror = (error) => {
          this.onerror?.(error);
          reject(error);
        };
        page.head.append(script);
      });
    }

    receive(data) {
      const copy = structuredClone(data);
      const message = new MessageEvent("message", { data: copy });
      this.onmessage?.(message); // an EventTarget does not call it by itself
      this.dispatchEvent(message);
    }

    postMessage(data) {
      if (!this.isReady) {
        this.waiting.push(data);
        return;
      }
      const inside = this.frame.contentWindow;
      // A worker gets a copy; the search's worker changes what it gets.
      const copy = inside.structuredClone(data);
      const message = new inside.MessageEvent("message", { data: copy });
      setTimeout(() => inside.dispatchEvent(message)); // calls its onmessage, too
    }

    terminate() {
      this.frame.remove();
    }
  };
}
