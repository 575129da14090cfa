// Says nothing of its own accord.

export class Silent {
  opened() {}
  heard() {}
}
