export default {
  testEnvironment: "./jest.environment.mjs",
  testMatch: ["**/program.test.js"],
  transform: {},
};
