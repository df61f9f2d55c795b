// One connection for all topics of all tabs.  Runs in a SharedWorker, or in the page where
// the browser has none.  A topic is the address of a stream; `after` is where to go on.
export class Hub {
	constructor(base) {
		this.base = base;
		this.topics = new Map(); // topic -> { clients: Set, after, last }
		this.clients = new Map(); // client -> time of its last sign of life
		this.source = null;
		this.state = "idle";
		this.delay = 500;
		this.timer = null;
	}

	/** Send a client everything about a topic, from an event on. */
	subscribe(client, topic, after) {
		this.clients.set(client, Date.now());
		let known = this.topics.get(topic);
		if (known) {
			known.clients.add(client);
			client.send({ topic, event: "joined", data: known.after });
			if (known.last) client.send({ topic, ...known.last });
		} else {
			known = { clients: new Set([client]), after, last: null };
			this.topics.set(topic, known);
			if (this.state === "idle") this.state = "connecting";
			this.reconnect(30);
		}
		client.send({ state: this.state });
	}

	/** Forget one of a client's topics. */
	unsubscribe(client, topic) {
		const known = this.topics.get(topic);
		if (!known) return;
		known.clients.delete(client);
		if (known.clients.size === 0) {
			this.topics.delete(topic);
			this.reconnect(1000);
		}
	}

	/** Forget a client. */
	leave(client) {
		this.clients.delete(client);
		for (const topic of [...this.topics.keys()]) this.unsubscribe(client, topic);
	}

	/** Note that a client is alive, and forget those that have been silent for long. */
	beat(client) {
		const now = Date.now();
		this.clients.set(client, now);
		for (const [one, seen] of this.clients) if (now - seen > 180000) this.leave(one);
	}

	reconnect(delay) {
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.connect(), delay);
	}

	connect() {
		if (this.source) this.source.close();
		this.source = null;
		if (this.topics.size === 0) {
			this.say("idle");
			return;
		}
		const url = new URL("api/streams", this.base);
		for (const [topic, known] of this.topics) {
			url.searchParams.append("topic", known.after === null ? topic : `${topic}?after=${known.after}`);
		}
		const source = new EventSource(url);
		this.source = source;
		source.onopen = () => {
			this.delay = 500;
			this.say("live");
		};
		source.onerror = () => {
			if (this.source !== source) return;
			source.close();
			this.source = null;
			this.say("reconnecting");
			this.delay = Math.min(this.delay * 2, 15000);
			this.reconnect(this.delay);
		};
		source.addEventListener("topic", (message) => this.hear(JSON.parse(message.data)));
		source.addEventListener("over", () => {
			source.close();
			this.source = null;
			this.say("stopped");
			this.reconnect(5000);
		});
	}

	hear([address, event, data]) {
		const topic = this.topics.has(address) ? address : address.replace(/\?after=\d+$/, "");
		const known = this.topics.get(topic);
		if (!known) return;
		if (event === "events") known.after = lastNumber(data) ?? known.after;
		else if (event === "logs") known.after = data.at(-1).number;
		else known.last = { event, data };
		for (const client of known.clients) client.send({ topic, event, data });
		if (event === "end" || event === "error") this.topics.delete(topic);
		if (this.topics.size === 0) this.connect();
	}

	say(state) {
		this.state = state;
		for (const client of this.clients.keys()) client.send({ state });
	}
}

/** Return the last number of some events; a gap has none, and ends before the next. */
function lastNumber(rows) {
	const [number, type] = rows.at(-1);
	return type === "gap" ? rows.at(-1)[7].to : number;
}
