// How the page stands with the hub, in words: nothing is called connected that is in doubt.

import type { Status } from "@tidewire/client";
import { useEffect, useState } from "react";
import { tide, useStatus } from "./chat";

export function Connection() {
  const status = useStatus();
  const seconds = useSecondsUntil(status.retryAt);
  return (
    <div className="connection" data-state={status.probing ? "probing" : status.state}>
      <span role="status">{words(status)}</span>
      {status.state === "offline" && (
        <>
          {/* Read aloud each second it would be a nuisance. */}
          <span aria-live="off">{seconds > 0 ? `Next try in ${seconds} s.` : "Trying again."}</span>
          <button type="button" onClick={() => tide.connect()}>
            Try now
          </button>
        </>
      )}
    </div>
  );
}

function words({ state, probing, reason, detail }: Status): string {
  if (state === "online") return probing ? "Checking the connection…" : "Connected";
  if (state === "idle" || state === "connecting") return "Connecting…";
  const why = detail ?? (reason && REASONS[reason]) ?? reason ?? "closed";
  return state === "closed" ? `Ended: ${why}` : `Offline: ${why}.`;
}

function useSecondsUntil(at = 0): number {
  const [left, setLeft] = useState(0);
  useEffect(() => {
    const count = () => setLeft(Math.max(0, Math.ceil((at - Date.now()) / 1_000)));
    count();
    const timer = setInterval(count, 1_000);
    return () => clearInterval(timer);
  }, [at]);
  return left;
}

const REASONS: Partial<Record<NonNullable<Status["reason"]>, string>> = {
  not_reached: "the hub cannot be reached",
  link_lost: "the connection was lost",
  hub_silent: "the hub does not answer",
};
