// What surrounds every page: navigation, theme, connection, shortcuts, announcements.
import { button, el, icon, put, showDialog } from "./dom.js";
import { address } from "./api.js";
import { moment } from "./format.js";
import { watchConnection } from "./live.js";
import { keep, recall } from "./memory.js";
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
	["1 to 9", "tabs of a run or a pipeline"],
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
	document.documentElement.dataset.theme = theme();
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
	const find = button([icon("search"), el("span", {}, "Find "), el("kbd", {}, "Ctrl K")], openPalette, { class: "quiet", "aria-label": "Find a run (Ctrl K)" });
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
	const words = { live: () => "live", reconnecting: () => "reconnecting …", stopped: () => `the server stopped at ${moment(new Date().toISOString())}` };
	watchConnection((state) => {
		place.hidden = !words[state];
		place.dataset.state = state;
		put(place, place.hidden ? null : [icon("dot"), words[state]()]);
	});
	return place;
}

// -- theme

const THEMES = ["auto", "light", "dark"];

const theme = () => recall("justpipe-theme") || "auto";

function themeButton() {
	const label = () => `Theme: ${theme()}`;
	const change = () => {
		const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
		keep("justpipe-theme", next);
		document.documentElement.dataset.theme = next;
		switcher.title = label();
		switcher.setAttribute("aria-label", label());
		dispatchEvent(new Event("themechange"));
	};
	const switcher = button(icon("theme"), change, { class: "quiet", title: label(), "aria-label": label() });
	return switcher;
}

// -- shortcuts

/** Tell whether a key goes into a field. */
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
	const close = button(icon("close"), () => dialog.close(), { class: "quiet", "aria-label": "Close" });
	dialog.append(el("div", { class: "dialog-head" }, el("h2", {}, title), close), ...content);
	showDialog(dialog);
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
