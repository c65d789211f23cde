// Required by the driver before Playwright. A service manager that stops the daemon sends SIGTERM to every
// process of it. Browsers have to go on until the daemon, which drains, closes them over the protocol.
"use strict";
const child = require("node:child_process");

const SIGNALS = ["SIGHUP", "SIGINT", "SIGTERM"];
for (const signal of SIGNALS) process.on(signal, () => {});

// The driver serves several sessions. What one of its pages makes it stumble over, as a dialog that is gone
// before it is dismissed, would end all of them: it is said, and that is all.
process.on("unhandledRejection", (reason) => console.error("contained:", reason));

// Node gives its children the default for every signal, and no way to ask for another. A shell that ignores one
// hands that down to what it becomes; Firefox leaves a signal alone that is ignored when it starts.
const spawn = child.spawn;
const IGNORING = `trap "" HUP INT TERM; exec "$0" "$@"`;
child.spawn = (command, args, options) => spawn("/bin/sh", ["-c", IGNORING, command, ...args], options);
