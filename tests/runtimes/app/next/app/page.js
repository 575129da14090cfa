import { Live } from "./live.js";

export default () => <Live />;
