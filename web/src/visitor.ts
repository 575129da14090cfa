// Who this page is to the others: a name and a colour that last as long as the tab.

export interface Visitor {
  readonly id: string;
  readonly name: string;
  readonly tint: number;
}

export function visitor(): Visitor {
  const id = crypto.randomUUID();
  const kept = sessionStorage.getItem(KEY)?.split("|");
  const name = kept?.[0] ?? pick(NAMES);
  const tint = Number(kept?.[1] ?? Math.floor(Math.random() * TINTS));
  sessionStorage.setItem(KEY, `${name}|${tint}`);
  return { id, name, tint };
}

/** The name of the style of a tint; tints that others made up are brought into range. */
export function tintName(tint: number): string {
  return `tint-${Math.abs(Math.trunc(tint)) % TINTS}`;
}

function pick(names: readonly string[]): string {
  return names[Math.floor(Math.random() * names.length)] ?? "Visitor";
}

const KEY = "tidewire-demo-visitor";
const TINTS = 5;
const NAMES = [
  "Avocet",
  "Curlew",
  "Dunlin",
  "Eider",
  "Fulmar",
  "Gannet",
  "Heron",
  "Knot",
  "Osprey",
  "Petrel",
  "Plover",
  "Puffin",
  "Shearwater",
  "Skua",
  "Tern",
  "Turnstone",
] as const;
