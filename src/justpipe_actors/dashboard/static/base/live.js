// What a page hears from the server while it is open.
const listeners = new Map(); // topic -> handlers
const watchers = new Set();
let state = "idle";
let post = null;

/** Hear a topic: handlers by event name.  Returns a function that ends it. */
export function subscribe(topic, after, handlers) {
	listeners.set(topic, handlers);
	if (state === "idle") receive({ state: "connecting" });
	connect()({ subscribe: topic, after });
	return () => {
		listeners.delete(topic);
		connect()({ unsubscribe: topic });
	};
}

/** Hear how the connection is: idle, connecting, live, reconnecting, stopped. */
export function watchConnection(watcher) {
	watchers.add(watcher);
	watcher(state);
}

function receive(message) {
	if (message.state) {
		state = message.state;
		for (const watcher of watchers) watcher(state);
		return;
	}
	const handlers = listeners.get(message.topic);
	const handler = handlers && handlers[message.event];
	if (handler) handler(message.data);
}

function connect() {
	if (post) return post;
	if (typeof SharedWorker === "function") {
		const worker = new SharedWorker(new URL("static/hub.js", document.baseURI), { type: "module" });
		worker.port.onmessage = ({ data }) => receive(data);
		worker.port.start();
		post = (message) => worker.port.postMessage(message);
	} else {
		const client = { send: receive };
		const hub = import("./hub_core.js").then(({ Hub }) => new Hub(new URL(document.baseURI)));
		const pass = (hub, message) => {
			if (message.subscribe) hub.subscribe(client, message.subscribe, message.after);
			if (message.unsubscribe) hub.unsubscribe(client, message.unsubscribe);
			if (message.bye) hub.leave(client);
		};
		post = (message) => hub.then((hub) => pass(hub, message));
	}
	setInterval(() => post({ alive: true }), 20000);
	addEventListener("pagehide", () => post({ bye: true }));
	addEventListener("pageshow", (event) => event.persisted && location.reload());
	return post;
}

/** Call a function when nothing has asked for it for a while. */
export function delayed(action, milliseconds = 200) {
	let timer = null;
	return () => {
		clearTimeout(timer);
		timer = setTimeout(action, milliseconds);
	};
}

/** Call a function at most ten times a second, whatever happens. */
export function batched(action) {
	let timer = null;
	return () => {
		if (timer !== null) return;
		timer = setTimeout(() => {
			timer = null;
			requestAnimationFrame(action);
		}, 100);
	};
}
