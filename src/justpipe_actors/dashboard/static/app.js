// Starts a page: the frame first, then the module that the shell names.
import { el } from "./base/dom.js";
import { get } from "./base/api.js";
import { buildFrame, showProblem } from "./base/frame.js";

const config = document.querySelector("meta[name=dashboard]");
const name = config.dataset.page;

async function start() {
	document.body.replaceChildren();
	const main = el("main", { id: "main", tabindex: "-1" });
	const site = name === "login" ? {} : await get("api/meta");
	buildFrame(main, name, { ...site, title: config.content });
	try {
		const page = await import(`./pages/${name}.js`);
		await page.show(main, site);
	} catch (error) {
		showProblem(main, error);
	}
}

start()
	.catch((error) => {
		if (error.code === "unauthorized") {
			const back = encodeURIComponent(location.href);
			location.replace(new URL(`login?back=${back}`, document.baseURI));
			return;
		}
		const main = el("main", { id: "main" });
		document.body.replaceChildren(main);
		showProblem(main, error);
	})
	.finally(() => {
		document.documentElement.dataset.ready = "1";
	});
