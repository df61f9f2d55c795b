// Draws parts of a page anew from newer data, without disturbing what a person does there.
// Elements that stay are changed in place, so that the focus, a press of the mouse that is
// not released yet, a selection of text and an open list survive.
import { listen, listenersOf, present } from "./dom.js";

/**
 * Make the children of a place equal to others.  Rows are matched by their data-key, other
 * elements by their order and their tag.  An element of the page that is given again is kept.
 * The listeners of the given elements must not use the elements themselves.
 */
export function redraw(place, ...children) {
	const wanted = document.createElement(place.localName);
	const kept = new Map(); // a stand-in -> the element of the page that was given again
	for (const child of present(children)) {
		const isShown = child instanceof Node && child.parentNode === place;
		const node = isShown ? document.createComment("") : child;
		if (isShown) kept.set(node, child);
		wanted.append(node);
	}
	const focused = document.activeElement;
	match(place, [...wanted.childNodes], kept);
	if (focused !== document.activeElement && focused.isConnected) focused.focus(); // its row was moved
}

function match(place, wanted, kept = new Map()) {
	const stays = new Set(kept.values());
	const keys = new Set(wanted.map(keyOf));
	const keyed = new Map();
	for (const old of [...place.childNodes]) {
		const key = keyOf(old);
		if (stays.has(old)) continue;
		if (key !== undefined && keys.has(key) && !keyed.has(key)) keyed.set(key, old);
		else if (key !== undefined) old.remove();
	}
	const later = new Set(keyed.values());
	let at = place.firstChild;
	for (const node of wanted) {
		const key = keyOf(node);
		const isLike = at && key === undefined && keyOf(at) === undefined && !stays.has(at) && at.nodeName === node.nodeName;
		const old = kept.get(node) || keyed.get(key) || (isLike ? at : node);
		// What is not wanted any more is removed, rather than what stays moved before it.
		while (at && at !== old && old.parentNode === place && !stays.has(at) && !later.has(at)) at = remove(at);
		later.delete(old);
		keyed.delete(key);
		if (old === at) at = at.nextSibling;
		else place.insertBefore(old, at);
		if (old !== node && !kept.has(node)) become(old, node);
	}
	while (at) at = remove(at);
}

/** Remove a node; return the next one. */
function remove(node) {
	const next = node.nextSibling;
	node.remove();
	return next;
}

function become(old, node) {
	if (old.nodeType === Node.TEXT_NODE) {
		if (old.data !== node.data) old.data = node.data;
		return;
	}
	for (const { name } of [...old.attributes]) if (!node.hasAttribute(name)) old.removeAttribute(name);
	for (const { name, value } of node.attributes) {
		if (old.getAttribute(name) === value) continue;
		if (name === "style") old.style.cssText = node.style.cssText; // the policy forbids the attribute
		else old.setAttribute(name, value);
	}
	if ("checked" in node) old.checked = node.checked;
	const listeners = listenersOf(node);
	for (const type of [...listenersOf(old).keys(), ...listeners.keys()]) listen(old, type, listeners.get(type));
	match(old, [...node.childNodes]);
}

/** Return what only one row of a place has: its tag and its data-key; undefined without a key. */
function keyOf(node) {
	const key = node.dataset ? node.dataset.key : undefined;
	return key === undefined ? undefined : `${node.nodeName} ${key}`;
}
