// What a visitor does, the same against the stand-in and against the gateway.

import assert from "node:assert/strict";

/** A window, which notes every error of the page. */
export async function openPage(context, address) {
  const page = await context.newPage();
  // For a machine that does much else.
  page.setDefaultTimeout(60_000);
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(String(error.stack ?? error)));
  page.on("console", (message) => {
    // What a test breaks on purpose is logged as a failed load.
    if (message.type() === "error" && !/Failed to load resource/.test(message.text()))
      page.errors.push(message.text());
  });
  await page.goto(address);
  return page;
}

/** Waits until a house of so many seats (any number without) is shown, live. */
export async function isLive(page, seats = null) {
  await page.waitForFunction((count) => {
    const { house } = inventory.shown;
    return (
      inventory.link === "live" &&
      house !== null &&
      (count === null || house.layout.numbers.length === count)
    );
  }, seats);
}

export const said = (page) => page.locator("#said").textContent();

/** The numbers of the first seats that can be taken; those on the canvas alone, if `near`. */
export function pickable(page, count, near = false) {
  return page.evaluate(
    ([wanted, isNear]) => {
      const { shown, painter } = inventory;
      const found = [];
      for (
        let position = 0;
        position < shown.states.kinds.length && found.length < wanted;
        position += 1
      ) {
        if (![0, 2].includes(shown.look(position))) continue;
        const { x, y } = painter.centreOf(position);
        const margin = isNear ? 40 : -Infinity;
        if (
          x < margin ||
          y < margin ||
          x > painter.map.clientWidth - margin ||
          y > painter.map.clientHeight - margin
        )
          continue;
        found.push(shown.numbers[position]);
      }
      return found;
    },
    [count, near],
  );
}

const stateOf = (page, number) =>
  page.evaluate((seat) => {
    const { shown } = inventory;
    const position = shown.positionOf.get(seat);
    return { kind: shown.states.kinds[position], mine: shown.mine(position) };
  }, number);

/** Clicks a seat on the map, where it is. */
async function clickSeat(page, number) {
  const at = await page.evaluate(
    (seat) => inventory.painter.centreOf(inventory.shown.positionOf.get(seat)),
    number,
  );
  await page.locator("#map").click({ position: at });
  await page.waitForFunction(
    (seat) => inventory.shown.mine(inventory.shown.positionOf.get(seat)) === "chosen",
    number,
  );
}

/** Chooses two seats on the map, holds and books them. Returns their numbers. */
export async function bookByClick(page) {
  await isLive(page);
  const numbers = await pickable(page, 2);
  for (const number of numbers) await clickSeat(page, number);
  await page.getByRole("button", { name: /^Hold 2 seats/ }).click();
  await page.waitForFunction(() => inventory.shown.holds[0]?.status === "ACTIVE");
  for (const number of numbers)
    assert.deepEqual(await stateOf(page, number), { kind: 1, mine: "held" });
  assert.match(await page.locator(".hold-state").textContent(), /^\d:\d\d$/);
  await page.getByRole("button", { name: /^Book/ }).click();
  await page.waitForFunction(() => inventory.shown.holds[0]?.status === "CONFIRMED");
  for (const number of numbers)
    assert.deepEqual(await stateOf(page, number), { kind: 3, mine: "booked" });
  return numbers;
}

/** The same from the loaded page on, by keys alone: two seats beside each other. */
export async function bookByKeyboard(page) {
  await isLive(page);
  const focused = () =>
    page.evaluate(
      () =>
        document.activeElement.id ||
        document.activeElement.getAttribute("role") ||
        document.activeElement.className,
    );
  const tabTo = async (wanted) => {
    for (let press = 0; press < 20 && (await focused()) !== wanted; press += 1)
      await page.keyboard.press("Tab");
    assert.equal(await focused(), wanted);
  };
  await tabTo("section");
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "rowheader");
  await page.keyboard.press("ArrowDown");
  let chosen = 0;
  for (let step = 0; step < 20 && chosen < 2; step += 1) {
    await page.keyboard.press("ArrowRight");
    const label = await page.evaluate(() => document.activeElement.getAttribute("aria-label"));
    if (!/available|hold ended/.test(label)) continue;
    await page.keyboard.press("Space");
    chosen += 1;
    await page.waitForFunction((count) => inventory.shown.chosen.size === count, chosen);
    assert.equal(
      await page.evaluate(() => document.activeElement.getAttribute("aria-selected")),
      "true",
    );
  }
  assert.equal(chosen, 2);
  await tabTo("hold");
  await page.keyboard.press("Enter");
  // The next thing to do has the focus.
  await page.waitForFunction(() => document.activeElement.textContent === "Book");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => inventory.shown.holds[0]?.status === "CONFIRMED");
  await page.waitForFunction(() => document.activeElement.textContent === "Give back");
}

/** What one window holds and books, the other shows; two that want the same, one gets. */
export async function bookInTwoWindows(one, other) {
  await isLive(other);
  const numbers = await bookByClick(one);
  await other.waitForFunction(
    (seats) =>
      seats.every(
        (seat) => inventory.shown.states.kinds[inventory.shown.positionOf.get(seat)] === 3,
      ),
    numbers,
  );
  for (const number of numbers) assert.equal((await stateOf(other, number)).mine, "");
  const [wanted] = await pickable(one, 1);
  for (const page of [one, other]) await clickSeat(page, wanted);
  // Not a click of the mouse, which would wait for a button that the other's success takes away.
  // What was said of the hold before is no answer to this one.
  await Promise.all(
    [one, other].map((page) =>
      page.evaluate(() => {
        document.getElementById("said").textContent = "";
        document.getElementById("hold").click();
      }),
    ),
  );
  const outcomes = await Promise.all(
    [one, other].map(async (page) => {
      await page.waitForFunction(
        (seat) =>
          /^(Held|Not held)|taken by someone else/.test(
            document.getElementById("said").textContent,
          ) && inventory.shown.mine(inventory.shown.positionOf.get(seat)) !== "chosen",
        wanted,
      );
      return (await stateOf(page, wanted)).mine;
    }),
  );
  assert.deepEqual(outcomes.sort(), ["", "held"]);
}
