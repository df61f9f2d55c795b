// What surrounds every page: navigation, theme, connection, shortcuts, announcements.
import { el, icon, put } from "./dom.js";
import { address } from "./api.js";
import { watchConnection } from "./live.js";
import { openPalette } from "./palette.js";

const PAGES = [
  ["runs", "Runs"],
  ["pipelines", "Pipelines"],
  ["live", "Live", (site) => site.has_supervisor],
  ["asks", "Asks", (site) => site.has_asks],
  ["letters", "Dead letters", (site) => site.has_supervisor],
  ["workers", "Workers", (site) => site.has_journal],
  ["compare", "Compare"],
];

const PARENT = { run: "runs", pipeline: "pipelines" };
const SHORTCUTS = [
  ["Ctrl K", "find a run"],
  ["/", "go to the filter"],
  ["j, k", "next or previous row of a table"],
  ["Enter", "open the row"],
  ["x", "select the row to compare it"],
  ["c", "compare the selected rows"],
  ["1 to 7", "tabs of a run"],
  ["?", "these shortcuts"],
];

let announcer = null;
let announcedAt = 0;

/** Say a change of status to readers of the screen, at most once in five seconds. */
export function announce(text) {
  if (!announcer || Date.now() - announcedAt < 5000) return;
  announcedAt = Date.now();
  announcer.textContent = text;
}

/** Put the frame around a page. */
export function buildFrame(main, name, site) {
  document.title = site.title;
  applyTheme();
  announcer = el("div", { class: "hidden", role: "status", "aria-live": "polite" });
  const here = location.href.split("#")[0];
  document.body.append(
    el("a", { class: "skip", href: `${here}#main`, onclick: () => main.focus() }, "Skip to content"),
    header(name, site),
    main,
    announcer,
  );
  addEventListener("keydown", (event) => shortcut(event));
}

/** Name the page in the window's title. */
export function setTitle(text) {
  const site = document.querySelector("meta[name=dashboard]").content;
  document.title = `${text} · ${site}`;
}

function header(name, site) {
  const current = PARENT[name] || name;
  const links = PAGES.filter(([, , shown]) => !shown || shown(site)).map(([page, label]) =>
    el("a", { href: address(page), "aria-current": page === current ? "page" : null }, label, site[page] ? el("b", { class: "count" }, site[page]) : null),
  );
  const find = el(
    "button",
    { class: "quiet", type: "button", onclick: () => openPalette(), "aria-label": "Find a run (Ctrl K)" },
    icon("search"),
    el("span", {}, "Find "),
    el("kbd", {}, "Ctrl K"),
  );
  return el(
    "header",
    {},
    el("a", { class: "brand", href: address("runs") }, site.title),
    el("nav", { "aria-label": "Pages" }, links),
    el("div", { class: "tools" }, find, themeButton(), connection()),
  );
}

function connection() {
  const place = el("span", { class: "connection", id: "connection", hidden: true });
  const words = { live: "live", reconnecting: "reconnecting …", stopped: "the server stopped" };
  watchConnection((state) => {
    place.hidden = state === "idle";
    place.dataset.state = state;
    put(place, words[state] ? icon("dot") : null, words[state] || "");
  });
  return place;
}

// -- theme

const THEMES = ["auto", "light", "dark"];

function theme() {
  try {
    return localStorage.getItem("justpipe-theme") || "auto";
  } catch {
    return "auto";
  }
}

function applyTheme() {
  document.documentElement.dataset.theme = theme();
}

function themeButton() {
  const label = () => `Theme: ${theme()}`;
  const button = el("button", { class: "quiet", type: "button", title: label(), "aria-label": label() }, icon("theme"));
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
    try {
      localStorage.setItem("justpipe-theme", next);
    } catch {
      // the choice lasts for this page
    }
    document.documentElement.dataset.theme = next;
    button.title = label();
    button.setAttribute("aria-label", label());
    dispatchEvent(new Event("themechange"));
  });
  return button;
}

// -- shortcuts

/** Tell whether somebody types. */
export function isTyping(event) {
  return event.target.closest("input, textarea, select, [contenteditable]") !== null;
}

function shortcut(event) {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openPalette();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
  if (event.key === "/") {
    const filter = document.querySelector("[data-filter]");
    if (filter) {
      event.preventDefault();
      filter.focus();
    }
  }
  if (event.key === "?") openShortcuts();
}

function openShortcuts() {
  const rows = SHORTCUTS.map(([keys, what]) => el("tr", {}, el("td", {}, el("kbd", {}, keys)), el("td", {}, what)));
  openDialog("Keyboard shortcuts", el("table", { class: "plain" }, el("tbody", {}, rows)));
}

/** Open a dialog; it closes with Escape and goes back to where the focus was. */
export function openDialog(title, ...content) {
  const dialog = el("dialog", { "aria-label": title });
  const close = el("button", { class: "quiet", type: "button", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"));
  dialog.append(el("div", { class: "dialog-head" }, el("h2", {}, title), close), ...content);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Show that a page cannot be shown, and what to do. */
export function showProblem(place, error) {
  const candidates = (error.candidates || []).map((id) =>
    el("li", {}, el("a", { href: address(`runs/${encodeURIComponent(id)}`), class: "mono" }, id)),
  );
  put(
    place,
    el("h1", {}, error.status === 404 ? "Not found" : error.code === "ambiguous" ? "Which one?" : "This did not work"),
    el("p", { class: "problem", role: "alert" }, error.message || String(error)),
    candidates.length ? el("ul", {}, candidates) : null,
    el("p", {}, el("a", { href: address("runs") }, "All runs")),
  );
}
