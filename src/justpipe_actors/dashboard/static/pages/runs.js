// Runs of all pipelines: one filter, chips, a histogram and a table; its state is its address.
import { el, put } from "../base/dom.js";
import { address, get } from "../base/api.js";
import { age, count, counted, duration, firstLine, moment, quantile, short, zone } from "../base/format.js";
import { announce, isTyping, setTitle } from "../base/frame.js";
import { batched, subscribe } from "../base/live.js";
import { Table } from "../base/table.js";
import { stackedBars } from "../parts/charts.js";
import { LABELS, statusBadge, statusTone, statusWord } from "../parts/status.js";

const WINDOWS = [
  ["1h", "1 h", 3600],
  ["24h", "24 h", 86400],
  ["7d", "7 d", 604800],
  ["30d", "30 d", 2592000],
  ["all", "all", null],
];
const COLUMNS = ["status", "q", "window", "pipeline"];
const MINUTE = 60000;

export async function show(main, site) {
  setTitle("Runs");
  await new RunsPage(main, site).start();
}

class RunsPage {
  constructor(main, site) {
    this.site = site;
    this.state = Object.fromEntries(COLUMNS.map((key) => [key, new URL(location.href).searchParams.get(key) || ""]));
    this.selected = new Set();
    this.pages = [];
    this.stop = null;
    this.table = new Table(this.columns(), {
      label: "Runs",
      class: "stacks",
      key: (run) => run.run_id,
      href: (run) => address(`runs/${run.run_id}`),
      isSelected: (run) => this.selected.has(run.run_id),
      onselect: (id) => this.select(id),
      empty: "No run matches.",
    });
    this.chips = el("div", { class: "chips", role: "group", "aria-label": "Status" });
    this.chart = el("div", { class: "histogram" });
    this.more = el("div", { class: "more" });
    this.picked = el("div", { class: "picked", hidden: true });
    this.filter = el("input", {
      type: "search",
      "data-filter": true,
      "aria-label": "Filter",
      placeholder: "Error, step or metadata; pipe:name  -pipe:name  tag:key=value  id:3e74",
      value: this.state.q,
      spellcheck: "false",
      oninput: () => this.type(),
    });
    this.content = el("div", {}, this.chart, this.chips, this.table.node, this.more, this.picked);
    this.main = main;
    put(
      main,
      el("div", { class: "head" }, el("h1", {}, "Runs"), this.filter, this.windows()),
      this.content,
    );
    addEventListener("keydown", (event) => {
      if (event.key === "c" && !isTyping(event) && !event.ctrlKey && !event.metaKey && this.selected.size === 2) this.compare();
    });
    this.tick = batched(() => this.table.draw());
  }

  // -- asking

  query() {
    const length = (WINDOWS.find(([name]) => name === this.state.window) || WINDOWS[4])[2];
    const since = length === null ? "" : new Date(Math.floor((Date.now() - length * 1000) / MINUTE) * MINUTE).toISOString();
    return { status: this.state.status ? this.state.status.split(",") : [], q: this.state.q, pipeline: this.state.pipeline, since };
  }

  async start() {
    const url = address("api/runs", this.query());
    this.pages = [await get("api/runs", this.query())];
    this.draw();
    if (this.stop) this.stop();
    this.stop = subscribe(`runs/stream${url.search}`, null, { runs: (page) => this.hear(page) });
    this.drawHistogram();
    setInterval(() => this.pages[0].runs.some((run) => run.status === "running") && this.tick(), 1000);
  }

  async again() {
    const url = new URL(location.href);
    for (const key of COLUMNS) {
      if (this.state[key]) url.searchParams.set(key, this.state[key]);
      else url.searchParams.delete(key);
    }
    history.replaceState(null, "", url);
    try {
      this.pages = [await get("api/runs", this.query())];
      this.draw();
      if (this.stop) this.stop();
      this.stop = subscribe(`runs/stream${address("api/runs", this.query()).search}`, null, { runs: (page) => this.hear(page) });
      this.drawHistogram();
    } catch (error) {
      put(this.table.body, el("tr", {}, el("td", { colspan: 9, role: "alert" }, error.message)));
    }
  }

  hear(page) {
    const before = new Map(this.pages[0].runs.map((run) => [run.run_id, run.status]));
    for (const run of page.runs) {
      const status = before.get(run.run_id);
      if (status && status !== run.status) announce(`Run ${short(run.run_id)} of ${run.pipeline_name}: ${statusWord(run.status)}`);
    }
    const isNew = page.runs.length && !before.has(page.runs[0].run_id);
    this.pages[0] = page;
    this.draw();
    if (isNew) this.drawHistogram();
  }

  async loadMore() {
    const last = this.pages.at(-1);
    this.pages.push(await get("api/runs", { ...this.query(), before: last.next }));
    this.draw();
  }

  type() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.state.q = this.filter.value.trim();
      this.again();
    }, 200);
  }

  // -- drawing

  draw() {
    const seen = new Set();
    const runs = this.pages.flatMap((page) => page.runs).filter((run) => !seen.has(run.run_id) && seen.add(run.run_id));
    const counts = this.pages[0].counts;
    const total = Object.values(counts).reduce((sum, n) => sum + n, 0);
    if (total === 0 && !this.isFiltered()) {
      this.welcome();
      return;
    }
    this.slow = slowest(runs);
    put(this.chips, this.chipsOf(counts));
    this.table.show(runs);
    const next = this.pages.at(-1).next;
    put(
      this.more,
      el("span", { class: "dim" }, `${counted(runs.length, "run")} of ${count(this.countShown(counts))} · times in ${zone()}`),
      next ? el("button", { type: "button", onclick: () => this.loadMore() }, "Load more") : null,
    );
  }

  countShown(counts) {
    const wanted = this.query().status;
    return Object.entries(counts).reduce((sum, [label, n]) => sum + (wanted.length === 0 || wanted.includes(label) ? n : 0), 0);
  }

  isFiltered() {
    return Boolean(this.state.status || this.state.q || this.state.pipeline || (this.state.window && this.state.window !== "all"));
  }

  chipsOf(counts) {
    const chosen = new Set(this.query().status);
    const labels = LABELS.filter((label) => counts[label] || chosen.has(label));
    return [
      ...labels.map((label) =>
        el(
          "button",
          {
            type: "button",
            class: `chip ${statusTone(label)}`,
            "aria-pressed": String(chosen.has(label)),
            onclick: () => {
              if (chosen.has(label)) chosen.delete(label);
              else chosen.add(label);
              this.state.status = [...chosen].join(",");
              this.again();
            },
          },
          `${statusWord(label)} `,
          el("b", {}, count(counts[label] || 0)),
        ),
      ),
      this.state.pipeline
        ? el(
            "button",
            {
              type: "button",
              class: "chip",
              "aria-pressed": "true",
              onclick: () => {
                this.state.pipeline = "";
                this.again();
              },
            },
            `pipeline ${this.state.pipeline} ×`,
          )
        : null,
    ];
  }

  windows() {
    const group = el("div", { class: "segments", role: "group", "aria-label": "Window" });
    const draw = () =>
      put(
        group,
        WINDOWS.map(([name, label]) =>
          el(
            "button",
            {
              type: "button",
              "aria-pressed": String((this.state.window || "all") === name),
              onclick: () => {
                this.state.window = name;
                draw();
                this.again();
              },
            },
            label,
          ),
        ),
      );
    draw();
    return group;
  }

  async drawHistogram() {
    const data = await get("api/runs/histogram", { ...this.query(), bins: 80 }).catch(() => null);
    if (!data || this.pages[0].runs.length === 0) {
      put(this.chart);
      return;
    }
    const from = new Date(data.since);
    const width = (new Date(data.until) - from) / data.bins.length;
    put(
      this.chart,
      stackedBars(data.bins, {
        label: "Runs by time of their start",
        height: 40,
        title: (index) => moment(new Date(from.getTime() + index * width).toISOString()),
      }),
      el("div", { class: "axis dim" }, el("span", {}, moment(data.since)), el("span", {}, moment(data.until))),
    );
  }

  columns() {
    return [
      { key: "status", label: "Status", cell: (run) => statusBadge(run.status) },
      {
        key: "run_id",
        label: "Run",
        cell: (run) => el("a", { class: "mono", href: address(`runs/${run.run_id}`), title: run.run_id }, short(run.run_id)),
      },
      {
        key: "pipeline_name",
        label: "Pipeline",
        class: "name",
        cell: (run) => el("a", { href: address(`pipelines/${run.pipeline_hash}`), title: run.pipeline_name }, run.pipeline_name),
      },
      {
        key: "start_time",
        label: "Started",
        cell: (run) => el("time", { datetime: run.start_time, title: `${run.start_time} (${age(run.start_time)})` }, moment(run.start_time)),
      },
      { key: "duration_seconds", label: "Duration", number: true, value: secondsOf, cell: (run) => this.bar(run) },
      {
        key: "error_step",
        label: "What happened",
        class: "wide",
        cell: (run) => whatHappened(run),
      },
      { key: "tags", label: "Tags", class: "optional", value: (run) => run.tags.join(), cell: (run) => run.tags.slice(0, 4).map((tag) => el("span", { class: "tag", title: tag }, tag)) },
      {
        key: "pick",
        label: "Compare",
        fixed: true,
        class: "pick",
        cell: (run) =>
          el("input", {
            type: "checkbox",
            "aria-label": `Select run ${short(run.run_id)} to compare`,
            checked: this.selected.has(run.run_id),
            onchange: () => this.select(run.run_id),
          }),
      },
    ];
  }

  bar(run) {
    const seconds = secondsOf(run);
    const share = Math.min(1, (seconds || 0) / (this.slow.get(run.pipeline_hash) || 1));
    const bar = el("span", { class: `bar ${statusTone(run.status)}` });
    bar.style.width = `${Math.max(2, share * 56)}px`;
    return el("span", { class: "duration" }, el("span", { class: "track" }, seconds === null ? null : bar), el("span", {}, duration(seconds)));
  }

  select(id) {
    if (this.selected.has(id)) this.selected.delete(id);
    else this.selected.add(id);
    if (this.selected.size > 2) this.selected.delete([...this.selected][0]);
    this.table.draw();
    this.picked.hidden = this.selected.size === 0;
    put(
      this.picked,
      `${this.selected.size} of 2 selected `,
      el("button", { type: "button", class: "primary", disabled: this.selected.size < 2, onclick: () => this.compare() }, "Compare"),
    );
  }

  compare() {
    const order = this.pages.flatMap((page) => page.runs).map((run) => run.run_id);
    const [a, b] = [...this.selected].sort((x, y) => order.indexOf(y) - order.indexOf(x));
    location.assign(address("compare", { a, b }));
  }

  welcome() {
    put(
      this.content,
      el(
        "section",
        { class: "card welcome" },
        el("h2", {}, "No run is stored yet"),
        el("p", {}, "A pipe stores its runs when it is told to:"),
        el("pre", {}, 'pipe = Pipe(State, name="report", persist=True)'),
        el("p", { class: "dim" }, "Runs are looked for in ", el("code", {}, this.site.storage), "."),
      ),
    );
  }
}

function secondsOf(run) {
  if (run.duration_seconds !== null) return run.duration_seconds;
  if (run.status === "running") return (Date.now() - new Date(run.start_time)) / 1000;
  return null;
}

function slowest(runs) {
  const found = new Map();
  for (const [hash, some] of Map.groupBy(runs, (run) => run.pipeline_hash)) {
    const seconds = some.map(secondsOf).filter((n) => n !== null).sort((a, b) => a - b);
    found.set(hash, quantile(seconds, 0.95));
  }
  return found;
}

function whatHappened(run) {
  const message = firstLine(run.error_message || "");
  if (!message && !run.error_step) return el("span", { class: "dim" }, run.status === "suspended" ? firstLine(run.reason || "") : "");
  return el(
    "span",
    { title: run.error_message || "" },
    run.error_step ? el("b", {}, run.error_step) : null,
    run.error_step && message ? ": " : null,
    message,
  );
}
