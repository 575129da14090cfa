// The real servers whose frames are recorded. Each starts on a free port of this machine.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { Duplex } from "node:stream";

/** By library: starts its server; gives `{ url, stop }`. */
export const servers = {
  tidewire: () => program(process.env.TIDEWIRE_BIN, "serve", "--dev", "--listen", "127.0.0.1:0"),
  centrifuge: () => program(process.env.CENTRIFUGE_SERVER),
  "centrifuge-protobuf": () => program(process.env.CENTRIFUGE_SERVER),
  "socket.io": socketIo,
  mqtt: aedes,
};

/** A program that prints the address that it listens at. */
async function program(path, ...args) {
  const child = spawn(path, args, { stdio: ["ignore", "pipe", "ignore"] });
  process.on("exit", () => child.kill("SIGKILL"));
  for await (const line of createInterface(child.stdout)) {
    const [, address] = /listening on http:\/\/(\S+)$/.exec(line) ?? [];
    if (!address) continue;
    child.stdout.resume();
    return { url: `ws://${address}`, stop: () => child.kill() };
  }
  throw new Error(`${path} ended before it listened`);
}

async function socketIo() {
  const { Server } = await import("socket.io");
  const http = createServer();
  const io = new Server(http, { transports: ["websocket"] });
  io.on("connection", (socket) => {
    socket.on("subscribe", (topic, done) => {
      socket.join(topic);
      done();
    });
    socket.on("publish", (topic, value, done) => {
      io.to(topic).emit("message", value);
      done();
    });
  });
  return listening(http, () => io.close());
}

async function aedes() {
  const { Aedes } = await import("aedes");
  const { WebSocketServer } = await import("ws");
  const broker = await Aedes.createBroker();
  const http = createServer();
  const sockets = new WebSocketServer({ server: http });
  sockets.on("connection", (socket) => broker.handle(streamOf(socket)));
  return listening(http, () => {
    for (const socket of sockets.clients) socket.terminate();
    broker.close(() => http.close());
  });
}

/**
 * A stream over a socket. What the broker writes at a time becomes one frame: as `ws` itself makes streams, each
 * field of a packet would travel in a frame of its own, as no broker that is in use does it.
 */
function streamOf(socket) {
  const stream = new Duplex({
    read() {},
    write: (chunk, _encoding, done) => socket.send(chunk, done),
    writev: (chunks, done) => socket.send(Buffer.concat(chunks.map(({ chunk }) => chunk)), done),
    final: (done) => {
      socket.close();
      done();
    },
  });
  socket.on("message", (data) => stream.push(data));
  socket.on("close", () => stream.destroy());
  return stream;
}

async function listening(http, stop) {
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  return { url: `ws://127.0.0.1:${http.address().port}`, stop };
}
