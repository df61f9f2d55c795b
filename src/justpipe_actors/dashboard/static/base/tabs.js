// Tabs: arrows move, numbers jump, the address remembers.
import { problem } from "./attempt.js";
import { button, el, put } from "./dom.js";
import { isTyping } from "./frame.js";

/** tabs: [{ name, label, show(place) }]; show is called when a tab is opened first. */
export function tabs(list, label, chosen) {
	const shown = new Set();
	const buttons = list.map((tab, index) =>
		button(tab.label, () => open(tab.name), {
			role: "tab",
			id: `tab-${tab.name}`,
			"aria-controls": `panel-${tab.name}`,
			onkeydown: (event) => arrow(event, index),
		}),
	);
	const panels = list.map((tab) =>
		el("div", { role: "tabpanel", id: `panel-${tab.name}`, "aria-labelledby": `tab-${tab.name}`, hidden: true }),
	);
	const node = el(
		"section",
		{ class: "card tabs", "aria-label": label },
		el("div", { role: "tablist", "aria-label": label }, buttons),
		panels,
	);

	function open(name, { remember = true } = {}) {
		const index = Math.max(0, list.findIndex((tab) => tab.name === name));
		const tab = list[index];
		buttons.forEach((one, n) => {
			one.setAttribute("aria-selected", String(n === index));
			one.tabIndex = n === index ? 0 : -1;
		});
		panels.forEach((panel, n) => {
			panel.hidden = n !== index;
		});
		if (!shown.has(tab.name)) {
			shown.add(tab.name);
			fill(tab, panels[index]);
		} else if (tab.again) tab.again();
		if (remember) {
			const url = new URL(location.href);
			url.searchParams.set("tab", tab.name);
			history.replaceState(null, "", url);
		}
	}

	function fill(tab, panel) {
		return Promise.resolve(tab.show(panel)).catch((error) => put(panel, el("p", { class: "pad" }, problem(error.message, () => fill(tab, panel)))));
	}

	function arrow(event, index) {
		const step = { ArrowRight: 1, ArrowLeft: -1, Home: -index, End: list.length - 1 - index }[event.key];
		if (step === undefined) return;
		event.preventDefault();
		const next = (index + step + list.length) % list.length;
		open(list[next].name);
		buttons[next].focus();
	}

	addEventListener("keydown", (event) => {
		if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
		const tab = list[Number(event.key) - 1];
		if (tab) open(tab.name);
	});

	const start = chosen || new URL(location.href).searchParams.get("tab");
	return { node, open, begin: () => open(start || list[0].name, { remember: false }) };
}
