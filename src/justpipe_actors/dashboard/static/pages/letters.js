// Messages that broke what performed them, the newest first.
import { el, put } from "../base/dom.js";
import { address, get } from "../base/api.js";
import { count, short } from "../base/format.js";
import { setTitle } from "../base/frame.js";
import { subscribe } from "../base/live.js";
import { Table } from "../base/table.js";

export async function show(main) {
  setTitle("Dead letters");
  const note = el("p", { class: "dim" });
  const table = new Table(
    [
      { key: "actor", label: "Actor" },
      { key: "run_id", label: "Run", cell: (letter) => el("a", { class: "mono", href: address(`runs/${letter.run_id}`), title: letter.run_id }, short(letter.run_id)) },
      { key: "attempt", label: "Attempt", number: true },
      { key: "reason", label: "What became of it", class: "wrap" },
      { key: "error", label: "Error", class: "wrap", cell: (letter) => el("span", { class: "mono bad" }, letter.error || "") },
    ],
    { label: "Dead letters", key: (letter) => `${letter.run_id} ${letter.at}`, href: (letter) => address(`runs/${letter.run_id}`), empty: "Every message was answered." },
  );

  function draw(data) {
    table.show([...data.last_letters].reverse());
    note.textContent = data.dead_letters > data.last_letters.length ? `The last ${data.last_letters.length} of ${count(data.dead_letters)}.` : "";
  }

  put(main, el("div", { class: "head" }, el("h1", {}, "Dead letters")), el("section", { class: "card" }, table.node, note));
  draw(await get("api/live"));
  subscribe("live/stream", null, { live: draw });
}
