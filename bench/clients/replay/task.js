// One task of the event loop after another, as cheaply as each runtime has them: sockets hand over one frame a task.

/** Calls `work` in a task of its own, after those asked for before. Microtasks run in between. */
export const nextTask = globalThis.setImmediate ?? channelTasks();

function channelTasks() {
  const { port1, port2 } = new MessageChannel();
  const works = [];
  port1.onmessage = () => works.shift()();
  return (work) => {
    works.push(work);
    port2.postMessage(0);
  };
}
