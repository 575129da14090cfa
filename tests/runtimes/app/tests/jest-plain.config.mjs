export default { testEnvironment: "jsdom", testMatch: ["**/plain.test.js"], transform: {} };
