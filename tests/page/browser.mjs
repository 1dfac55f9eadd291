// Chromium, as the tests start it. playwright-core and axe-core are where scripts/page-tests put them.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const modules = process.env.PAGE_MODULES;
if (!modules) throw new Error("PAGE_MODULES is not set: run scripts/page-tests");
const require = createRequire(`${modules}/package.json`);

export const axeSource = () => readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

/** Without the network: no look-ups, no updates. */
const ARGUMENTS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export async function launch() {
  const { chromium } = require("playwright-core");
  const isRoot = process.getuid?.() === 0;
  return chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: [...ARGUMENTS, ...(isRoot ? ["--no-sandbox"] : [])],
  });
}
