// Socket.IO as its documentation shows it: a room per topic, WebSocket only.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false });
io.on("connection", (socket) => {
  socket.on("sub", (topic, done) => {
    socket.join(topic);
    done();
  });
  socket.on("pub", (payload) => {
    io.to(payload.slice(0, 8)).emit("m", payload);
  });
});
http.listen(0, "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${http.address().port}`);
});
