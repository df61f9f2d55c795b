// Gives the browser a cookie for a token: typed in, or behind the # of the address.
import { el, put, remark } from "../base/dom.js";
import { address, post } from "../base/api.js";

export async function show(main) {
	const field = el("input", { type: "password", id: "token", autocomplete: "current-password", required: true });
	const note = el("p", { class: "problem", role: "alert" });

	async function login(token) {
		try {
			await post("api/login", { token });
			const back = new URL(location.href).searchParams.get("back");
			const target = new URL(back || "runs", document.baseURI);
			location.replace(target.origin === location.origin ? target : address("runs"));
		} catch (error) {
			note.textContent = error.message;
		}
	}

	const form = el(
		"form",
		{
			class: "card narrow",
			onsubmit: (event) => {
				event.preventDefault();
				login(field.value);
			},
		},
		el("label", { for: "token" }, "Token"),
		field,
		el("button", { type: "submit", class: "primary" }, "Log in"),
		note,
		remark("The command that started the dashboard printed it, or the program that serves it sets it."),
	);
	put(main, el("h1", {}, "Log in"), form);
	const given = decodeURIComponent(location.hash.slice(1));
	if (given) {
		history.replaceState(null, "", location.href.split("#")[0]);
		await login(given);
	} else {
		field.focus();
	}
}
