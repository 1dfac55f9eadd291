// The page against the real gateway: `inventory-worker dev`, with its worker and its sample event.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { after, before, describe, it } from "node:test";
import { axeSource, launch } from "./browser.mjs";
import {
  bookByClick,
  bookByKeyboard,
  bookInTwoWindows,
  isLive,
  openPage,
  pickable,
} from "./visit.mjs";

/** How long `dev` may take to say where it answers, milliseconds. */
const START_MS = 30_000;

/** Starts `dev` on free ports. `stop` drains it. */
async function startDev(more = {}) {
  const dev = spawn(process.env.INVENTORY_WORKER, ["dev"], {
    env: {
      PATH: process.env.PATH,
      PORT: "0",
      GRPC_PORT: "0",
      ADMIN_HOST: "127.0.0.1",
      ADMIN_PORT: "0",
      ...more,
    },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const said = [];
  dev.stderr.on("data", (data) => said.push(String(data)));
  const ended = new Promise((end) => dev.on("exit", end));
  const lines = createInterface({ input: dev.stdout });
  const address = await new Promise((found, failed) => {
    const late = setTimeout(
      () => failed(new Error(`dev says no address: ${said.join("")}`)),
      START_MS,
    );
    lines.on("line", (line) => {
      const match = /http\s+(http:\/\/127\.0\.0\.1:\d+)/.exec(line);
      if (!match) return;
      clearTimeout(late);
      found(match[1]);
    });
    ended.then((code) => failed(new Error(`dev ended with ${code}: ${said.join("")}`)));
  });
  return {
    address,
    async stop() {
      dev.kill("SIGTERM");
      return ended;
    },
  };
}

describe("dev", () => {
  let browser;
  before(async () => {
    browser = await launch();
  });
  after(async () => browser?.close());

  async function visit(run, windows = 1) {
    const dev = await startDev();
    const contexts = [];
    try {
      const pages = [];
      for (let window = 0; window < windows; window += 1) {
        contexts.push(await browser.newContext({ viewport: { width: 1280, height: 800 } }));
        pages.push(await openPage(contexts[window], dev.address));
      }
      await isLive(pages[0], 160);
      await run(...pages, dev);
      for (const { errors } of pages) assert.deepEqual(errors, []);
    } finally {
      for (const context of contexts) await context.close();
      await dev.stop();
    }
  }

  it("a_click_chooses_and_a_seat_is_held_booked_and_given_back", async () => {
    await visit(async (page) => {
      const numbers = await bookByClick(page);
      await page.getByRole("button", { name: /^Give back/ }).click();
      await page.waitForFunction(() => inventory.shown.holds.length === 0);
      await page.waitForFunction(
        (seats) =>
          seats.every(
            (seat) => inventory.shown.states.kinds[inventory.shown.positionOf.get(seat)] === 0,
          ),
        numbers,
      );
      await page.waitForFunction(() =>
        /Commands a second/.test(document.getElementById("numbers").textContent),
      );
      await page.evaluate(axeSource());
      const found = await page.evaluate(async () =>
        (await axe.run(document)).violations.map(({ id }) => id),
      );
      assert.deepEqual(found, []);
    });
  });

  it("a_seat_is_booked_by_keyboard_alone", async () => {
    await visit(bookByKeyboard);
  });

  it("two_windows_show_each_others_holds", async () => {
    await visit(bookInTwoWindows, 2);
  });

  it("a_hold_that_ran_out_is_on_sale_in_every_window", async () => {
    await visit(async (page, other, dev) => {
      const [number] = await pickable(page, 1);
      const answer = await fetch(`${dev.address}/commands`, {
        method: "POST",
        headers: { "content-type": "application/cloudevents+json" },
        body: JSON.stringify({
          specversion: "1.0",
          id: "short",
          type: "inventory.reserve.v1",
          data: { event_id: 1, user_id: "someone", seats: [number], hold_seconds: 6 },
        }),
      });
      assert.equal(answer.status, 200);
      const kind = (wanted) =>
        [page, other].map((window) =>
          window.waitForFunction(
            ([seat, kinds]) =>
              kinds.includes(inventory.shown.states.kinds[inventory.shown.positionOf.get(seat)]),
            [number, wanted],
          ),
        );
      await Promise.all(kind([1]));
      // Ended, or already given back by the sweeper.
      await Promise.all(kind([0, 2]));
    }, 2);
  });

  it("a_gateway_that_stops_and_comes_back_is_followed_again", async () => {
    await visit(async (page, dev) => {
      await bookByClick(page);
      await dev.stop();
      await page.waitForFunction(() => document.getElementById("link").dataset.state === "waiting");
      const again = await startDev({ PORT: new URL(dev.address).port });
      try {
        await isLive(page, 160);
        await page.waitForFunction(() => inventory.shown.tally.all[0] === 160);
      } finally {
        await again.stop();
      }
    });
  });
});
