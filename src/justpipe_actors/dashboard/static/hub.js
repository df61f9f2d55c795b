// The SharedWorker: one hub for all tabs of this browser.
import { Hub } from "./base/hub_core.js";

const hub = new Hub(new URL("..", self.location.href));

self.onconnect = (connected) => {
	const port = connected.ports[0];
	const client = { send: (message) => port.postMessage(message) };
	port.onmessage = ({ data }) => {
		hub.beat(client);
		if (data.subscribe) hub.subscribe(client, data.subscribe, data.after);
		if (data.unsubscribe) hub.unsubscribe(client, data.unsubscribe);
		if (data.bye) hub.leave(client);
	};
	port.start();
};
