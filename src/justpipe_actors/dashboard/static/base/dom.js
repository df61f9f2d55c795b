// Builds elements.  Text enters as text only, so nothing that is shown can be markup.
const SVG = "http://www.w3.org/2000/svg";

/** Build an element: el("a", { class: "x", href: "y", onclick: f }, "text", child). */
export function el(tag, attributes = {}, ...children) {
	return fill(document.createElement(tag), attributes, children);
}

/** Build words that matter less. */
export function dim(...children) {
	return el("span", { class: "dim" }, ...children);
}

/** Build a paragraph that matters less. */
export function remark(...children) {
	return el("p", { class: "dim" }, ...children);
}

/** Build a bar of a chart. */
export function bar(tone, width) {
	const node = el("span", { class: `bar ${tone}` });
	node.style.width = width;
	return node;
}

/** Build a button. */
export function button(content, onclick, attributes = {}) {
	return el("button", { type: "button", onclick, ...attributes }, content);
}

/** Build a button that is pressed or not: a label and a number. */
export function chip(label, number, isPressed, onclick, tone = "") {
	return button([`${label} `, el("b", {}, number)], onclick, { class: `chip ${tone}`, "data-key": label, "aria-pressed": String(isPressed) });
}

/** Build an SVG element. */
export function svg(tag, attributes = {}, ...children) {
	return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
	for (const [key, value] of Object.entries(attributes)) {
		if (value === null || value === undefined || value === false) continue;
		if (key.startsWith("on")) listen(node, key.slice(2), value);
		else node.setAttribute(key, value === true ? "" : value);
	}
	node.append(...present(children));
	return node;
}

/** Fill a place anew; where a person may be busy, redraw() changes what is there instead. */
export function put(place, ...children) {
	place.replaceChildren(...present(children));
}

/** Show a dialog; Escape and a click beside it close it, and the focus goes back to where it was. */
export function showDialog(dialog) {
	dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
	dialog.addEventListener("close", () => dialog.remove());
	document.body.append(dialog);
	dialog.showModal();
}

const LISTENERS = new WeakMap(); // element -> its listener for each type of event

/** Have a function called for events of one type, instead of an earlier one; without a function none is. */
export function listen(node, type, listener) {
	const known = LISTENERS.get(node) || new Map();
	LISTENERS.set(node, known);
	if (!known.has(type)) node.addEventListener(type, (event) => known.get(type)?.(event));
	known.set(type, listener);
}

/** Return the listeners that an element was built with. */
export function listenersOf(node) {
	return LISTENERS.get(node) || new Map();
}

/** Return the children that are there: lists are flat, and what is missing is left out. */
export function present(children) {
	return children.flat().filter((child) => child !== null && child !== undefined && child !== false);
}

const ICONS = {
	success: "M3.5 8.5l3 3 6-7",
	failed: "M4 4l8 8M12 4l-8 8",
	running: "M5 3.5l7 4.5-7 4.5z",
	ready: "M8 2.5v7M5 6.5l3 3 3-3M3 13h10",
	suspended: "M5.5 4v8M10.5 4v8",
	waiting: "M4.5 3h7M4.5 13h7M5 3c0 4 6 6 6 10M11 3c0 4-6 6-6 10",
	timeout: "M8 4.5V8l2.5 2M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8z",
	cancelled: "M3.8 12.2l8.4-8.4M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8z",
	client_closed: "M2.5 8h7M7 5l3 3-3 3M12.5 3v10",
	abandoned: "M5.8 6a2.3 2.3 0 1 1 3.2 2.2c-.7.4-1 .8-1 1.6M8 12v.6",
	stuck: "M8 2l6.3 11.5H1.7zM8 6.5v3M8 11.2v.6",
	interrupted: "M3 8h3M10 8h3M7 4l2 8",
	retried: "M12.5 6A5 5 0 1 0 13 9M12.8 2.5V6H9.3",
	search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10.5 10.5l3.5 3.5",
	copy: "M5.5 5.5h7v8h-7zM3.5 10.5v-8h7",
	theme: "M8 1.8a6.2 6.2 0 1 0 0 12.4zM8 1.8a6.2 6.2 0 0 1 0 12.4",
	close: "M4 4l8 8M12 4l-8 8",
	dot: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
};
ICONS.done = ICONS.success;
ICONS.unfinished = ICONS.interrupted;

/** Build one of our own icons; words stand beside it, so it is hidden from readers. */
export function icon(name) {
	return svg(
		"svg",
		{ class: "icon", viewBox: "0 0 16 16", width: 14, height: 14, "aria-hidden": "true" },
		svg("path", { d: ICONS[name] || ICONS.dot }),
	);
}
