// Shows what a client with tokens says: how it stands, what went wrong, and what came of each topic, or why nothing does.

import { createClient, TokenRefused } from "/client.js";

/** How the client stood, one time after another. */
globalThis.told = [];
/** That, and what went wrong, in the order in which the client said it. */
globalThis.said = [];

/** Listens to topics by the tokens that `globalThis.tokenFor` gives; what it throws is what there is to say instead. */
globalThis.enter = (url, names) => {
  const tide = createClient(url, {
    async token({ reason }) {
      const { token, error, refusal } = await globalThis.tokenFor(reason);
      if (refusal) throw new TokenRefused(refusal);
      if (error) throw new Error(error);
      return token;
    },
  });
  const show = (role, text) => {
    globalThis.said.push(text);
    document.querySelector(`[role=${role}]`).textContent = text;
  };
  tide.on("status", ({ state, reason, detail }) => {
    const text = reason ? `${state}: ${reason}: ${detail}` : state;
    globalThis.told.push(text);
    show("status", text);
  });
  tide.on("error", ({ name, code, detail }) => show("alert", `${name}: ${code}: ${detail}`));
  for (const name of names) {
    const list = Object.assign(document.createElement("ol"), { title: name });
    const add = (text) =>
      list.append(Object.assign(document.createElement("li"), { textContent: text }));
    const sub = tide.topic(name).subscribe(({ data, sender }) => add(`${sender}: ${data}`));
    sub.on("change", ({ state }) => list.classList.add(state));
    sub.on("gap", ({ reason }) => add(`gap: ${reason}`));
    sub.on("refused", ({ name, code, detail }) => add(`${name}: ${code}: ${detail}`));
    document.body.append(list);
  }
};
