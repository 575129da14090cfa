// What an engine has around it: a clock, a link, and somebody who writes down what it does.

import { Kind } from "../../src/engine/tables.ts";
import { digestOf } from "./digest.mjs";
import { tableOf } from "./table.mjs";

/** What happens is told to `say`, for people. */
export function seatOf(engine, peer, say) {
  const digest = digestOf();
  const seat = { digest, now: 0, deadline: Number.POSITIVE_INFINITY, link: "none", ended: false };

  seat.call = (kind, a = 0, b = 0, c = 0, d = 0) => {
    const answer = engine.call(kind, seat.now, a, b, c, d);
    say(`${seat.now}: call ${kind} (${a}, ${b}, ${c}, ${d}): ${answer}`);
    digest.mix(answer);
    return answer;
  };

  seat.put = (bytes) => {
    const address = engine.input(bytes.length);
    new Uint8Array(engine.memory.buffer).set(bytes, address);
    return bytes.length;
  };

  seat.cut = () => {
    seat.link = "none";
    peer.forget();
  };

  /** Does what so many rows want. */
  seat.take = (count) => {
    const table = tableOf(engine, count);
    say(table.text());
    table.mix(digest);
    seat.deadline = table.deadline;
    for (const packet of table.packets) peer.hear(packet);
    for (const wish of table.wishes) {
      if (wish === Kind.OpenLink) seat.link = "opening";
      else seat.cut();
    }
    if (table.ends) seat.ended = true;
  };
  return seat;
}
