// Everything that is handed out settles, whatever ends it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { WebSocket } from "ws";
import { createClient, TokenRefused } from "../src/index.ts";
import { Client, frame, Hub, ScriptedHub } from "./scripted-hub.mjs";
import { corrupt, forbidEngines, settled, until } from "./support.mjs";

/** The feature that says so. */
const batches = 1 << 5;

/** What an application may wait for; `leave` and `signal` end it where they can. */
const waits = {
  "ready of a subscription": (tide, { signal }) => {
    const sub = tide.topic("t").subscribe(() => {}, { signal });
    return { promise: sub.ready, leave: () => sub.unsubscribe(), asks: Client.subscribe };
  },
  "ready of an iteration": (tide, { signal }) => {
    const messages = tide.topic("t").messages({ signal });
    return { promise: messages.ready, leave: () => messages.return(), asks: Client.subscribe };
  },
  "the first next of an iteration": (tide, { signal }) => {
    const messages = tide.topic("t").messages({ signal });
    return { promise: messages.next(), leave: () => messages.return(), asks: Client.subscribe };
  },
  "the second next of an iteration": (tide, { signal }) => {
    const messages = tide.topic("t").messages({ signal });
    messages.next().catch(() => {});
    return { promise: messages.next(), leave: () => messages.return(), asks: Client.subscribe };
  },
  "caughtUp of a subscription": (tide, { signal }) => {
    const sub = tide.topic("t").subscribe(() => {}, { signal, from: "earliest" });
    return { promise: sub.caughtUp, leave: () => sub.unsubscribe(), asks: Client.subscribe };
  },
  "caughtUp of an iteration": (tide, { signal }) => {
    const messages = tide.topic("t").messages({ signal });
    return { promise: messages.caughtUp, leave: () => messages.return(), asks: Client.subscribe };
  },
  "a page of history": (tide, { signal }) => ({
    promise: tide.topic("t").history({ signal }),
    asks: Client.history,
  }),
  "a publish": (tide, { signal }) => {
    const publishing = tide.topic("t").publish(1, { signal });
    const leave = () => tide.outbox.cancel(publishing.id);
    return { promise: publishing, leave, asks: Client.open };
  },
  "a batch": (tide, { signal }) => {
    const messages = [1, 2].map((data) => ({ topic: "t", data }));
    const publishing = tide.publishBatch(messages, { signal });
    const leave = () => tide.outbox.cancel(publishing.id);
    return { promise: publishing, leave, asks: Client.open };
  },
  "a flush": (tide) => {
    const publishing = tide.topic("t").publish(1);
    const leave = () => tide.outbox.cancel(publishing.id);
    return { promise: tide.flush(), leave, asks: Client.open };
  },
  "a ping": (tide) => ({ promise: tide.ping(), asks: Client.heartbeat }),
};

const trap = (tide) => {
  corrupt();
  tide.topic("other").publish(1);
};

/** Has one token, and no other. */
const token = ({ reason }) => {
  if (reason === "refused") throw new TokenRefused("you are logged out");
  return "a.b.c";
};

/** What may end it, once the client is online; `undefined` where that does not apply. */
const ends = {
  leaving: ({ leave }) => leave,
  aborting: ({ abort, name }) => (/flush|ping/.test(name) ? undefined : abort),
  "closing the client":
    ({ tide }) =>
    () =>
      tide.close(),
  "closing one of two clients that share": ({ tide, hub }) => {
    const other = createClient(hub.url, { WebSocket });
    return () => {
      tide.close();
      assert.equal(other.status.state, "online");
      setImmediate(() => other.close());
    };
  },
  "a refusal by the hub":
    ({ hub, asks }) =>
    async () => {
      const { fields } = await hub.next(asks);
      if (asks === Client.subscribe || asks === Client.history)
        hub.send(frame(Hub.failed, { 1: fields[1], 2: 5 }));
      else if (asks === Client.open) hub.send(frame(Hub.refused, { 1: fields[1], 3: 1, 4: 5 }));
      else hub.cut();
    },
  "a hub that will never have the client":
    ({ hub }) =>
    () => {
      hub.send(frame(Hub.goodbye, { 1: 4 }));
      hub.cut();
    },
  "an application that has no other token":
    ({ hub }) =>
    () => {
      hub.send(frame(Hub.goodbye, { 1: 4 }));
      hub.cut();
    },
  "an engine that stops, and stops again":
    ({ tide, hub }) =>
    async () => {
      trap(tide);
      await hub.welcome(batches);
      trap(tide);
    },
};

for (const [name, wait] of Object.entries(waits)) {
  for (const [how, makeEnd] of Object.entries(ends)) {
    test(`${name} settles by ${how}`, async () => {
      const hub = await ScriptedHub.start();
      const isAsked = how === "an application that has no other token";
      const tide = createClient(hub.url, { WebSocket, ...(isAsked && { token }) });
      tide.on("error", () => {});
      tide.connect();
      await hub.welcome(batches);
      while (tide.status.state !== "online") await new Promise(setImmediate);
      const controller = new AbortController();
      const abort = () => controller.abort(new Error("enough"));
      const given = wait(tide, controller);
      const outcome = settled(given.promise, name);
      const end = makeEnd({ tide, hub, name, abort, ...given });
      if (end) await end();
      else tide.close();
      await outcome;
      if (isAsked) await until(() => tide.status.reason === "token_refused");
      tide.close();
      await hub.stop();
    });
  }

  test(`${name} settles where no engine can be made`, async () => {
    const allow = forbidEngines();
    try {
      const tide = createClient("ws://127.0.0.1:9", { WebSocket, identity: name });
      tide.on("error", () => {});
      await settled(wait(tide, {}).promise, name);
      // The entry without WebAssembly blames no policy.
      if (!name.includes("ping"))
        assert.match(tide.status.reason, /^(wasm_blocked|engine_failed)$/);
      tide.close();
    } finally {
      allow();
    }
  });

  test(`${name} settles where there is no WebSocket`, async () => {
    const { WebSocket } = globalThis;
    globalThis.WebSocket = undefined;
    try {
      const tide = createClient("ws://127.0.0.1:9", { identity: `${name}, no WebSocket` });
      tide.on("error", () => {});
      let outcome;
      try {
        outcome = wait(tide, {}).promise;
      } catch (error) {
        outcome = Promise.reject(error);
      }
      await settled(outcome, name);
      if (!name.includes("ping")) assert.equal(tide.status.reason, "no_websocket");
      tide.close();
    } finally {
      globalThis.WebSocket = WebSocket;
    }
  });
}

/** How a client has ended before it is asked, by the code that says so; each resolves when it has. */
const ended = {
  async wasm_blocked({ tide }) {
    const allow = forbidEngines();
    tide.connect();
    await until(() => tide.status.state === "closed").finally(allow);
  },
  async no_websocket({ tide }) {
    tide.connect();
    await until(() => tide.status.state === "closed");
  },
  async engine_failed({ tide, hub }) {
    for (let count = 0; count < 2; count++) {
      tide.connect();
      await hub.welcome(batches);
      await until(() => tide.status.state === "online");
      corrupt();
      tide.connect();
    }
    await until(() => tide.status.state === "closed");
  },
  async bad_token({ tide, hub }) {
    tide.connect();
    await hub.welcome(batches);
    hub.send(frame(Hub.goodbye, { 1: 4, 3: "the token has ended" }));
    hub.cut();
    await until(() => tide.status.state === "closed");
  },
  async token_refused({ tide, hub }) {
    tide.connect();
    await hub.welcome(batches);
    hub.send(frame(Hub.goodbye, { 1: 4 }));
    hub.cut();
    await until(() => tide.status.state === "closed");
  },
  closed({ tide }) {
    tide.close();
  },
  "closed before, beside one that shares the connection,"({ tide, options }) {
    const other = createClient(tide.address, options);
    tide.close();
    assert.equal(other.status.state, "idle");
    setImmediate(() => other.close());
  },
  "closed again, after bad_token,": async (given) => {
    await ended.bad_token(given);
    given.tide.close();
  },
};

for (const [how, end] of Object.entries(ended)) {
  let [code] = how.split(" ");
  test(`a client that was ${how} throws nothing, and says so to all who ask`, async () => {
    const hub = await ScriptedHub.start();
    const { WebSocket: Global } = globalThis;
    globalThis.WebSocket = undefined;
    const { error: tell } = console;
    const told = [];
    console.error = (error) => told.push(error.code);
    try {
      const options = {
        identity: how,
        ...(code !== "no_websocket" && { WebSocket }),
        ...(code === "token_refused" && { token }),
      };
      const tide = createClient(hub.url, options);
      await end({ tide: Object.assign(tide, { address: hub.url }), hub, options });
      const { reason, detail } = tide.status;
      // The entry without WebAssembly blames no policy.
      if (code === "wasm_blocked" && reason === "engine_failed") code = reason;
      assert.equal(reason ?? "closed", code);
      told.length = 0;
      for (const [name, wait] of Object.entries(waits)) {
        const [outcome, error] = await settled(wait(tide, {}).promise, name);
        if (name === "a flush") assert.equal(outcome, "fulfilled");
        else if (name === "the second next of an iteration") assert.equal(error.done, true);
        else {
          assert.deepEqual([name, outcome, error.code], [name, "rejected", code]);
          assert.equal(error.detail, detail ?? "create another client", name);
          assert.equal(error instanceof TokenRefused, /_token|token_/.test(code), name);
        }
      }
      assert.equal(tide.topic("t").send(1), false);
      const sub = tide.topic("t").subscribe(() => assert.fail("nothing comes"));
      let refused;
      sub.on("refused", (error) => {
        refused = error.code;
      });
      await until(() => refused);
      assert.deepEqual([sub.state, refused], ["ended", code]);
      const left = tide.topic("t").subscribe(() => {});
      left.on("refused", () => assert.fail("it was left"));
      left.unsubscribe();
      assert.equal((await settled(left.ready, "ready"))[1].code, "cancelled");
      // Mistakes are told at the call all the same.
      assert.throws(() => tide.topic("t").subscribe(), TypeError);
      assert.throws(() => tide.topic("t").messages({ from: "now" }), TypeError);
      // Of the publish that nobody waited for but its flush; a client that was closed has nothing more to tell.
      assert.deepEqual(told, code === "closed" ? [] : [code]);
      tide.close();
    } finally {
      console.error = tell;
      globalThis.WebSocket = Global;
      await hub.stop();
    }
  });
}

test("what ended is told to those who wait, each in its own words", async () => {
  const hub = await ScriptedHub.start();
  const tide = createClient(hub.url, { WebSocket });
  const code = async (promise) => (await settled(promise, "it"))[1]?.code;
  const left = tide.topic("a").subscribe(() => {});
  left.unsubscribe();
  assert.equal(await code(left.ready), "cancelled");
  assert.equal(left.state, "ended");
  const controller = new AbortController();
  const aborted = tide.topic("a").subscribe(() => {}, { signal: controller.signal });
  const loop = tide.topic("a").messages({ signal: controller.signal });
  const next = loop.next();
  controller.abort(new Error("enough"));
  await assert.rejects(aborted.ready, { message: "enough" });
  assert.deepEqual(await next, { done: true, value: undefined });
  const closed = tide.topic("a").subscribe(() => {});
  tide.close();
  assert.equal(await code(closed.ready), "closed");
  assert.equal(await code(tide.topic("a").publish(1)), "closed");
  assert.equal(await code(tide.ping()), "closed");
  await hub.stop();
});

test("an iteration that was left gives nothing more", async () => {
  const hub = await ScriptedHub.start();
  const tide = createClient(hub.url, { WebSocket });
  const messages = tide.topic("t").messages();
  messages.return();
  assert.deepEqual(await messages.next(), { done: true, value: undefined });
  tide.close();
  await hub.stop();
});
