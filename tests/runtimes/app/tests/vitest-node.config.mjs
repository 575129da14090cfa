export default { test: { environment: "node", globals: true, include: ["program.test.js"] } };
