// The driver loads this before Playwright. Stopping a service can send SIGTERM to all its processes, but
// browsers must keep running until the draining daemon closes them over the protocol.
"use strict";
const child = require("node:child_process");
const fs = require("node:fs");

// Sockets of the driver have short paths, from here.
process.chdir(process.env.TMPDIR);

const SIGNALS = ["SIGHUP", "SIGINT", "SIGTERM"];
for (const signal of SIGNALS) process.on(signal, () => {});

// The driver serves several sessions. An error that one page causes, such as a dialog that disappears before
// it is dismissed, would end all of them, so it is only printed.
process.on("unhandledRejection", (reason) => console.error("contained:", reason));

// A file that can't be opened, as on a full disk, is an error of its stream. Nobody listens to that in the driver,
// and it would end all sessions too.
const { createWriteStream } = fs;
fs.createWriteStream = (...args) =>
  createWriteStream(...args).on("error", (error) => console.error("contained:", error));

// Node resets every signal to its default in its children, and has no option against that. A shell that
// ignores a signal passes that on to the program it execs, and Firefox keeps ignoring signals that it finds
// ignored.
const spawn = child.spawn;
const IGNORING = `trap "" HUP INT TERM; exec "$0" "$@"`;
child.spawn = (command, args, options) => spawn("/bin/sh", ["-c", IGNORING, command, ...args], options);
