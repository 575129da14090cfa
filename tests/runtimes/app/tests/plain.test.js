// Whoever imports the package in a test of something else needs no engine.

import { createClient } from "@tidewire/client";

test("the package does no harm where its engine cannot load", async () => {
  const tide = createClient("ws://127.0.0.1:1");
  expect(tide.status.state).toBe("idle");
  // And what uses it all the same hears what is missing.
  const { ready } = tide.topic("t").subscribe(() => {});
  await expect(ready).rejects.toMatchObject({ code: "engine_failed" });
  await expect(ready).rejects.toThrow(/is not defined/);
  tide.close();
});
