// The page as the gateway makes it (src/gateway/page.rs), from the same files.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const folder = new URL("../../src/gateway/page/", import.meta.url);
const read = (name) => readFileSync(new URL(name, folder), "utf8");

/** In the order in which they are joined. */
const SCRIPTS = [
  "house.js",
  "states.js",
  "words.js",
  "stream.js",
  "repeat.js",
  "command.js",
  "looks.js",
  "draw.js",
  "list.js",
  "basket.js",
  "figures.js",
  "pointer.js",
  "page.js",
];

export function pageDocument({ demo = false, event = null } = {}) {
  const style = read("style.css");
  const script = `(() => {\n"use strict";\n${SCRIPTS.map(read).join("")}})();\n`;
  const html = read("index.html")
    .replace("/* style.css */", () => style)
    .replace("/* script.js */", () => script)
    .replace('data-demo="false" data-event=""', `data-demo="${demo}" data-event="${event ?? ""}"`);
  const hash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
  const policy = [
    "default-src 'none'",
    `script-src ${hash(script)}`,
    `style-src ${hash(style)}`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ].join("; ");
  return { html, policy };
}

/** What the named scripts define, without a document. */
export function definitions(scripts, names) {
  const body = `"use strict";\n${scripts.map(read).join("\n")}\nreturn { ${names.join(", ")} };`;
  return new Function(body)();
}
