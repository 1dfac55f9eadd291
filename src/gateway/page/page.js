// The page: its parts, and what connects them.

const byId = (id) => document.getElementById(id);
const isDemo = document.body.dataset.demo === "true";

/** How often the figures are asked for, and the counts are read out, milliseconds. */
const FIGURES_MS = 2_000;
const COUNTS_MS = 5_000;
/** How long a hold of the demonstration lasts, seconds, and the most seats of one. */
const HOLD_SECONDS = 300;
const SEATS_MAX = 12;
/** CSS pixels of a seat that a finger, or a mouse, can mean; on smaller ones it zooms in. */
const TOUCH_MIN = 18;
const MOUSE_MIN = 7;

const clock = serverClock(() => performance.timeOrigin + performance.now());

/** What is shown. */
const shown = {
  eventId: null,
  house: null,
  states: null,
  tally: null,
  positionOf: new Map(),
  /** Positions. */
  chosen: new Set(),
  /** Own reservations: `{ id, seats (numbers), until, status, busy }`. */
  holds: [],
  /** Of a position, `held` or `booked`. */
  own: new Map(),
  look(position) {
    const own = this.own.get(position);
    if (own) return own === "held" ? MINE_HELD : MINE_BOOKED;
    return this.chosen.has(position) ? CHOSEN : this.states.kinds[position];
  },
  mine(position) {
    return this.own.get(position) ?? (this.chosen.has(position) ? "chosen" : "");
  },
};

// What others may say, and to whom.

/** The caller's token: in memory alone. */
let token = null;

async function ask(path, { headers = {}, ...options } = {}) {
  const identity = token ? { authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { ...options, headers: { ...headers, ...identity }, cache: "no-cache" });
  if (answer.status === 401) askForToken(token ? "The token is not, or no longer, valid." : "This gateway asks who you are.");
  return answer;
}

function askForToken(why) {
  byId("access-text").textContent = why;
  byId("access").hidden = false;
}

byId("access").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value.trim();
  byId("token").value = "";
  byId("access").hidden = true;
  stream?.hurry();
});

const sleep = (milliseconds, signal) => new Promise((slept) => {
  if (signal?.aborted) return slept();
  const timer = setTimeout(done, Math.max(0, milliseconds));
  function done() {
    clearTimeout(timer);
    signal?.removeEventListener("abort", done);
    slept();
  }
  return signal?.addEventListener("abort", done);
});

const environment = {
  EventSource: window.EventSource,
  fetch: ask,
  async ticket() {
    if (!token) return null;
    const answer = await ask("/stream-tickets", { method: "POST" });
    if (!answer.ok) throw await refusal(answer);
    return (await answer.json()).ticket;
  },
  sleep,
  now: () => performance.now(),
  random: Math.random,
};

function say(text) {
  byId("said").textContent = text;
}

// The stream.

let stream = null;
/** The layout that is being read, by its tag. */
let reading = null;

function show(eventId) {
  stream?.stop();
  Object.assign(shown, { eventId, house: null, states: null, tally: null, positionOf: new Map() });
  shown.chosen.clear();
  shown.own.clear();
  reading = null;
  byId("event").value = eventId ?? "";
  byId("title").textContent = eventId === null ? "Seats" : `Event ${eventId}`;
  document.title = eventId === null ? "Seats" : `Event ${eventId} – seats`;
  painter.redraw();
  drawLegend();
  if (eventId === null) return tellEmpty("Which event? Give its number above.");
  tellEmpty("Reading the house …");
  shown.holds = [];
  stream = follow(`/events/${eventId}/changes`, { onFrame: take, onState: tellState }, environment);
  recallHolds();
  return undefined;
}

function tellEmpty(text) {
  byId("empty").textContent = text;
  byId("empty").hidden = !text;
}

function take(event, data) {
  clock.learn(data.now);
  lastFrame = clock.now();
  if (event === "snapshot") takeSnapshot(data.map);
  else if (event === "delta") takeDelta(data);
}

function takeSnapshot(map) {
  shown.states = statesOf(map);
  if (shown.house?.tag === map.layout) return takeStates();
  shown.house = null;
  return readLayout(map.layout);
}

/** Everything that shows states, after they were replaced. */
function takeStates() {
  shown.tally = tallyOf(shown.house, shown.states);
  for (const position of shown.chosen) {
    if (!isSellable(shown.states.kinds[position])) shown.chosen.delete(position);
  }
  own();
  painter.redraw();
  list.arrange();
  drawLegend();
  drawBasket();
}

async function readLayout(tag) {
  if (reading === tag) return;
  reading = tag;
  const { eventId } = shown;
  for (let wait = 500; reading === tag && shown.eventId === eventId; wait = Math.min(8000, wait * 2)) {
    try {
      const answer = await ask(`/events/${eventId}/layout`);
      const found = answer.headers.get("etag") ?? "";
      const body = answer.ok ? await answer.json() : null;
      if (reading !== tag || shown.eventId !== eventId) return;
      if (body && found.includes(tag)) {
        reading = null;
        return takeLayout(tag, body);
      }
      if (!answer.ok) tellEmpty(`The layout cannot be read (${answer.status}); trying again.`);
    } catch {
      tellEmpty("The layout cannot be read; trying again.");
    }
    await sleep(wait);
  }
}

function takeLayout(tag, layout) {
  if (shown.states?.layout !== tag) return undefined;
  if (layout.numbers.length !== shown.states.kinds.length) return stream.restart();
  const chosen = [...shown.chosen].map((position) => shown.numbers[position]);
  shown.house = arrange(layout);
  shown.house.tag = tag;
  shown.numbers = layout.numbers;
  shown.positionOf = new Map(layout.numbers.map((number, position) => [number, position]));
  shown.chosen = new Set(chosen.map((number) => shown.positionOf.get(number)).filter((position) => position !== undefined));
  tellEmpty(layout.numbers.length ? "" : "This event has no seats.");
  takeStates();
  painter.arrange();
  return undefined;
}

function takeDelta(delta) {
  if (!shown.states) return;
  if (!applyDelta(shown.states, delta, moved)) stream.restart();
  drawLegend();
}

/** A seat is of another kind, or held until another time. */
function moved(position, before, after) {
  changes += 1;
  if (!shown.house) return;
  recount(shown.tally, shown.house, position, before, after);
  if (shown.chosen.has(position) && !isSellable(after)) {
    shown.chosen.delete(position);
    say(`${shown.numbers[position]} was taken by someone else.`);
    drawBasket();
  }
  painter.redrawSeat(position, before === after ? undefined : performance.now());
  list.change(position);
}

/** Changes since the last look at them, for the rate. */
let changes = 0;
let lastFrame = NaN;
let retryAt = NaN;
let link = "connecting";

const STATES = {
  connecting: "Connecting",
  live: "Live",
  polling: "Live, by polling",
  waiting: "Broken off",
};
const REASONS = {
  draining: "The server is stopping, another one takes over.",
  age: "The server ended a long connection.",
  unavailable: "The server has no fresh states of this event now.",
  gone: "This event does not exist, or not yet.",
  EVENT_NOT_FOUND: "This event does not exist, or not yet.",
  too_large: "This event has too many seats for a map.",
  POOL_TOO_LARGE: "This event has too many seats for a map.",
  UNAUTHENTICATED: "The gateway asks who you are.",
};

function tellState(state, { wait, code } = {}) {
  link = state;
  byId("link").dataset.state = state;
  byId("link-text").textContent = STATES[state];
  const isBroken = state === "waiting";
  document.body.classList.toggle("broken", isBroken);
  retryAt = isBroken ? performance.now() + wait : NaN;
  if (isBroken) {
    const reason = REASONS[code] ?? "The stream broke off.";
    if (shown.house) tellBanner(`${reason} Shown is how it was at ${timeOf(lastFrame)}. The page tries again by itself.`);
    else tellEmpty(`${reason} The page tries again by itself.`);
  } else if (state !== "connecting") {
    tellBanner("");
  }
}

function tellBanner(text) {
  const banner = byId("banner");
  if (banner.textContent !== text) banner.textContent = text;
  banner.hidden = !text;
}

addEventListener("online", () => stream?.hurry());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && link === "waiting") stream?.hurry();
});

// Counts: the legend for the eye, a sentence now and then for the ear.

function drawLegend() {
  const legend = byId("legend");
  if (!legend.children.length) legend.append(...[...KINDS.keys()].map(makeLegend));
  KINDS.forEach((_, kind) => {
    const figure = legend.children[kind].lastChild;
    const text = shown.tally ? grouped(shown.tally.all[kind]) : "–";
    if (figure.textContent !== text) figure.textContent = text;
  });
}

function makeLegend(kind) {
  const item = element("li");
  const sign = element("canvas", { "aria-hidden": "true", width: 28, height: 28 });
  item.append(sign, element("span", {}, KINDS[kind].word), element("b", {}, "–"));
  return item;
}

function drawSigns() {
  [...byId("legend").children].forEach(({ firstChild: sign }, kind) => {
    const context = sign.getContext("2d");
    context.clearRect(0, 0, 28, 28);
    drawLook(context, kind, 2, 2, 24, painter.colours);
  });
}

setInterval(() => {
  if (!shown.tally) return;
  const text = countsText(shown.tally.all);
  if (byId("counts").textContent !== text) byId("counts").textContent = text;
}, COUNTS_MS);

// Figures of the whole deployment.

const rates = [];
/** Whether the last question had an answer, and when it came. */
let figuresOk = true;

async function readFigures() {
  const begun = performance.now();
  try {
    const answer = await ask("/overview");
    byId("figures").hidden = answer.status === 404;
    if (!answer.ok) return;
    drawFigures(await answer.json(), changes / (FIGURES_MS / 1000));
    // The server answers again: no need to wait for the next try.
    if (!figuresOk && link === "waiting") stream?.hurry();
    figuresOk = true;
  } catch {
    figuresOk = false;
    byId("figures-age").textContent = "The figures cannot be read; these are old.";
  } finally {
    changes = 0;
    setTimeout(readFigures, Math.max(250, FIGURES_MS - (performance.now() - begun)));
  }
}

function drawFigures(overview, changeRate) {
  clock.learn(overview.now);
  const { activity, queues, oldest_hold: oldest, sampled_at: sampled } = overview;
  const rows = [];
  if (activity) {
    rows.push(["Commands a second", activity.commands_per_second?.toFixed(1) ?? "–"]);
    rows.push(["Workers", grouped(activity.workers)]);
  }
  rows.push(["Seat changes a second", changeRate.toFixed(1)]);
  for (const { name, waiting, in_flight: flight, oldest_age_seconds: age } of queues ?? []) {
    const old = age ? `, oldest ${spanText(age)}` : "";
    const depth = waiting === null ? "unknown" : `${grouped(waiting)} waiting, ${grouped(flight)} in flight`;
    rows.push([`Queue ${name}`, `${depth}${old}`]);
  }
  if (oldest?.reserved_until) rows.push(["Oldest hold", oldestText(Date.parse(oldest.reserved_until))]);
  drawTerms(byId("numbers"), rows);
  drawTrend(activity ? (activity.commands_per_second ?? 0) : changeRate);
  drawRejected(Object.entries(activity?.rejected ?? {}));
  byId("figures-age").textContent = sampled ? `As of ${timeOf(Date.parse(sampled))}.` : "";
}

function oldestText(until) {
  const left = (until - clock.now()) / 1000;
  return left >= 0 ? `ends in ${spanText(left)}` : `ended ${spanText(-left)} ago, not yet given back`;
}

/** Terms and their figures; elements stay, so that nothing flickers. */
function drawTerms(terms, rows) {
  while (terms.children.length > rows.length * 2) terms.lastChild.remove();
  rows.forEach(([name, value], index) => {
    if (!terms.children[index * 2]) terms.append(element("dt"), element("dd"));
    const [term, figure] = [terms.children[index * 2], terms.children[index * 2 + 1]];
    if (term.textContent !== name) term.textContent = name;
    if (figure.textContent !== value) figure.textContent = value;
  });
}

function drawTrend(rate) {
  rates.push(rate);
  if (rates.length > 60) rates.shift();
  const most = Math.max(...rates, 1);
  const point = (value, index) => `${((index + 60 - rates.length) * 120) / 59},${(27 - (value / most) * 25).toFixed(1)}`;
  byId("trend").firstElementChild.setAttribute("points", rates.map(point).join(" "));
}

function drawRejected(rejected) {
  byId("rejected-heading").hidden = !rejected.length;
  const sorted = rejected.sort(([, a], [, b]) => b - a).slice(0, 8);
  const most = sorted[0]?.[1] ?? 1;
  byId("rejected").replaceChildren(...sorted.map(([code, count]) => {
    const item = element("li");
    const bar = element("span", { class: "bar", "aria-hidden": "true" });
    bar.style.width = `${(100 * count) / most}%`;
    item.append(bar, element("span", {}, code), element("b", {}, grouped(count)));
    return item;
  }));
}

// The demonstration: choose, hold, book, give back.

const user = storedUser();

function storedUser() {
  const made = `visitor-${[...crypto.getRandomValues(new Uint8Array(6))].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  try {
    const kept = sessionStorage.getItem("inventory-user");
    if (!kept) sessionStorage.setItem("inventory-user", made);
    return kept ?? made;
  } catch {
    return made;
  }
}

const newId = () => `page-${[...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;

function choose(position) {
  if (shown.own.has(position)) return say(`${shown.numbers[position]} is yours already.`);
  if (shown.chosen.has(position)) {
    shown.chosen.delete(position);
  } else if (!isSellable(shown.states.kinds[position])) {
    return say(`${shown.numbers[position]} is ${KINDS[shown.states.kinds[position]].word}.`);
  } else if (shown.chosen.size >= SEATS_MAX) {
    return say(`${SEATS_MAX} seats at a time.`);
  } else {
    shown.chosen.add(position);
  }
  changed([position]);
  drawBasket();
  return say(shown.chosen.size ? `${shown.chosen.size} chosen.` : "None chosen.");
}

/** What seats are to this window's user is another thing now. */
function changed(positions) {
  for (const position of positions) {
    if (position === undefined) continue;
    painter.redrawSeat(position);
    list.change(position);
  }
}

/** Marks the seats of one's own reservations. */
function own() {
  const before = [...shown.own.keys()];
  shown.own.clear();
  for (const { seats, status } of shown.holds) {
    for (const number of seats) {
      const position = shown.positionOf.get(number);
      if (position !== undefined) shown.own.set(position, status === "CONFIRMED" ? "booked" : "held");
    }
  }
  if (shown.house) changed(new Set([...before, ...shown.own.keys()]));
}

/** Why a command was refused, for people. */
const REFUSED = {
  SEATS_UNAVAILABLE: "someone else was faster",
  RESERVATION_EXPIRED: "the hold has ended",
  RESERVATION_NOT_FOUND: "the reservation is not known any more",
  RESERVATION_CANCELLED: "the reservation was given back",
  LIMIT_EXCEEDED: "too many at once",
};

function refusedText({ status, code, detail, seats = [] }) {
  if (!status) return "no answer came. It may still happen: the map will show it.";
  const why = REFUSED[code] ?? detail ?? `status ${status}`;
  return `${why}${seats.length ? ` (${seats.join(", ")})` : ""}.`;
}

async function holdChosen() {
  const positions = [...shown.chosen];
  const { eventId } = shown;
  if (!positions.length) return;
  const seats = positions.map((position) => shown.numbers[position]);
  const button = byId("hold");
  const hadFocus = document.activeElement === button;
  busy(button, true);
  say(`Holding ${seats.join(", ")} …`);
  const data = { event_id: eventId, user_id: user, seats, hold_seconds: HOLD_SECONDS };
  const answer = await perform({ type: "inventory.reserve.v1", id: newId(), data }, environment);
  busy(button, false);
  if (shown.eventId !== eventId) return;
  if (!answer.ok) {
    const lost = answer.seats?.length ? answer.seats : [];
    for (const number of lost) shown.chosen.delete(shown.positionOf.get(number));
    changed(lost.map((number) => shown.positionOf.get(number)));
    drawBasket();
    say(`Not held: ${refusedText(answer)}`);
    return;
  }
  for (const position of positions) shown.chosen.delete(position);
  takeResult(answer.result);
  say(`Held ${seats.join(", ")} until ${timeOf(Date.parse(answer.result.data.reservation.expires_at))}.`);
  if (hadFocus) focusHold(answer.result.data.reservation.reservation_id);
}

/** A result of one's own command: shown at once, the stream brings the same. */
function takeResult({ time, data }) {
  clock.learn(time);
  const { reservation, changes: made = [] } = data;
  if (shown.states && shown.house) applyChanges(shown.states, shown.positionOf, made, moved);
  takeReservation(reservation);
}

function takeReservation({ reservation_id: id, seats, status, expires_at: expires }) {
  shown.holds = shown.holds.filter((hold) => hold.id !== id);
  if (status === "ACTIVE" || status === "CONFIRMED") {
    shown.holds.push({ id, seats, status, until: Date.parse(expires), busy: false });
  }
  keepHolds();
  own();
  drawBasket();
  drawLegend();
}

async function act(hold, type, more, done) {
  const { eventId } = shown;
  hold.busy = true;
  drawBasket();
  const data = { event_id: eventId, reservation_id: hold.id, user_id: user, ...more };
  const answer = await perform({ type, id: newId(), data }, environment);
  hold.busy = false;
  if (shown.eventId !== eventId) return;
  if (answer.ok) {
    takeResult(answer.result);
    say(`${done} ${hold.seats.join(", ")}.`);
  } else {
    if (["RESERVATION_EXPIRED", "RESERVATION_NOT_FOUND", "RESERVATION_CANCELLED"].includes(answer.code)) drop(hold);
    say(`Not done: ${refusedText(answer)}`);
  }
  drawBasket();
  focusHold(hold.id);
}

function drop(hold) {
  shown.holds = shown.holds.filter((other) => other !== hold);
  keepHolds();
  own();
  drawBasket();
}

/** After a button went: the next thing to do with the same reservation, or the heading. */
function focusHold(id) {
  if (document.activeElement !== document.body) return;
  const button = byId("holds").querySelector(`[data-id="${id}"] button`);
  (button ?? byId("basket-heading")).focus();
}

function busy(button, is) {
  button.setAttribute("aria-disabled", String(is));
}

const unlessBusy = (todo) => (event) => {
  if (event.currentTarget.getAttribute("aria-disabled") !== "true") todo();
};

function drawBasket() {
  if (!isDemo) return;
  const positions = [...shown.chosen].sort((a, b) => naturalOrder(shown.numbers[a], shown.numbers[b]));
  const button = byId("hold");
  byId("basket-empty").hidden = positions.length > 0 || shown.holds.length > 0;
  button.hidden = !positions.length;
  if (positions.length) {
    const { prices } = shown.house.layout;
    const sum = sumOf(positions.map((position) => prices.values[prices.of[position]]));
    button.textContent = `Hold ${positions.length === 1 ? "1 seat" : `${positions.length} seats`}${sum === null ? "" : `, ${sum}`}`;
  }
  keyed(byId("picked"), positions, (position) => String(shown.numbers[position]), makeChosen);
  keyed(byId("holds"), shown.holds, ({ id }) => id, makeHold, dressHold);
  tick();
}

/** Brings a list's items to what `things` are; those that stay keep their element, and the focus. */
function keyed(items, things, keyOf, make, dress = () => {}) {
  const kept = new Map([...items.children].map((item) => [item.dataset.id, item]));
  const wanted = things.map((thing) => {
    const key = keyOf(thing);
    const item = kept.get(key) ?? make(thing);
    item.dataset.id = key;
    kept.delete(key);
    dress(item, thing);
    return item;
  });
  for (const item of kept.values()) item.remove();
  wanted.forEach((item, index) => {
    if (items.children[index] !== item) items.insertBefore(item, items.children[index] ?? null);
  });
}

function makeChosen(position) {
  const name = shown.numbers[position];
  const item = element("li");
  const remove = element("button", { type: "button", "aria-label": `Take ${name} off` }, `${name} ×`);
  remove.addEventListener("click", () => {
    const current = shown.positionOf.get(name);
    if (shown.chosen.has(current)) choose(current);
  });
  item.append(remove);
  return item;
}

function makeHold(hold) {
  const { id } = hold;
  const current = () => shown.holds.find((other) => other.id === id);
  const item = element("li");
  const words = element("p");
  words.append(element("b", { class: "hold-seats" }), element("span", { class: "hold-state", role: "timer", "aria-live": "off" }));
  const book = element("button", { type: "button", class: "main book" }, "Book");
  const back = element("button", { type: "button", class: "back" }, "Give back");
  book.addEventListener("click", unlessBusy(() => act(current(), "inventory.confirm.v1", { booking_id: newId() }, "Booked")));
  back.addEventListener("click", unlessBusy(() => act(current(), "inventory.cancel.v1", { refund: current().status === "CONFIRMED" }, "Gave back")));
  item.append(words, book, back);
  return item;
}

function dressHold(item, hold) {
  const seats = hold.seats.join(", ");
  item.querySelector(".hold-seats").textContent = seats;
  const book = item.querySelector(".book");
  if (hold.status === "CONFIRMED") book?.remove();
  for (const button of item.querySelectorAll("button")) {
    button.setAttribute("aria-label", `${button.textContent} ${seats}`);
    busy(button, hold.busy);
  }
}

/** Counts one's own holds down, by the server's time. */
function tick() {
  for (const hold of [...shown.holds]) {
    const item = byId("holds").querySelector(`[data-id="${hold.id}"]`);
    const state = item?.querySelector(".hold-state");
    if (!state) continue;
    const left = hold.until - clock.now();
    if (hold.status === "CONFIRMED") {
      state.textContent = "booked";
    } else if (left > 0) {
      state.textContent = countdown(left);
      state.classList.toggle("soon", left < 30_000);
    } else if (!hold.busy) {
      drop(hold);
      say(`The hold of ${hold.seats.join(", ")} has ended.`);
    }
  }
}

const holdsKey = () => `inventory-holds-${shown.eventId}`;

function keepHolds() {
  try {
    sessionStorage.setItem(holdsKey(), JSON.stringify(shown.holds.map(({ id }) => id)));
  } catch {
    // Without storage they are gone after a reload.
  }
}

/** One's own reservations after a reload, as the tables have them. */
async function recallHolds() {
  if (!isDemo) return;
  const { eventId } = shown;
  let ids = [];
  try {
    ids = JSON.parse(sessionStorage.getItem(holdsKey()) ?? "[]");
  } catch {
    return;
  }
  for (const id of ids.slice(-50)) {
    try {
      const answer = await ask(`/reservations/${encodeURIComponent(id)}`);
      if (!answer.ok) continue;
      const { reservation, now } = await answer.json();
      if (shown.eventId !== eventId) return;
      clock.learn(now);
      if (reservation.pool === `event#${eventId}`) takeReservation(reservation);
    } catch {
      // The hold ends by itself.
    }
  }
}

// Pointers and keys on the map.

const stage = byId("stage");
const map = byId("map");
const fingers = new Map();
let press = null;

const placeOf = (event) => {
  const box = map.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
};

map.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  fingers.set(event.pointerId, placeOf(event));
  map.setPointerCapture(event.pointerId);
  press = fingers.size === 1 ? { ...placeOf(event), hasMoved: false } : null;
});

map.addEventListener("pointermove", (event) => {
  const at = placeOf(event);
  const before = fingers.get(event.pointerId);
  if (!before) return point(at);
  if (fingers.size === 2) {
    const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    const [was, is] = [Math.hypot(before.x - other.x, before.y - other.y), Math.hypot(at.x - other.x, at.y - other.y)];
    pinch(was, is, { x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 });
    painter.pan((at.x - before.x) / 2, (at.y - before.y) / 2);
  } else if (press) {
    press.hasMoved ||= Math.hypot(at.x - press.x, at.y - press.y) > 6;
    if (press.hasMoved) painter.pan(at.x - before.x, at.y - before.y);
  }
  fingers.set(event.pointerId, at);
  return tip(-1);
});

/** The part of a pinch that is less than a pixel of a seat waits for the rest. */
let pinched = 1;

function pinch(was, is, middle) {
  pinched *= is / Math.max(1, was);
  if (Math.abs(painter.pitch * pinched - painter.pitch) < 1) return;
  painter.zoom(pinched, middle.x, middle.y);
  pinched = 1;
  allowScroll();
}

map.addEventListener("pointerup", (event) => {
  const isClick = press && !press.hasMoved && fingers.has(event.pointerId);
  fingers.delete(event.pointerId);
  press = null;
  pinched = 1;
  if (isClick) click(placeOf(event), event.pointerType === "touch" ? TOUCH_MIN : MOUSE_MIN);
});
map.addEventListener("pointercancel", (event) => fingers.delete(event.pointerId));
map.addEventListener("pointerleave", () => {
  tip(-1);
  painter.point(list.focused);
});

function click(at, smallest) {
  const position = painter.seatAt(at.x, at.y);
  if (painter.pitch / painter.ratio < smallest) {
    painter.zoom((smallest * 1.4 * painter.ratio) / painter.pitch, at.x, at.y);
    allowScroll();
  } else if (position >= 0) {
    list.reveal(position);
    if (isDemo) choose(position);
    else say(seatLabel(shown.house, shown.states, position, shown.mine(position)));
  }
}

function point(at) {
  const position = painter.seatAt(at.x, at.y);
  painter.point(position < 0 ? list.focused : position);
  tip(position);
}

function tip(position) {
  const box = byId("tip");
  box.hidden = position < 0 || !shown.house;
  if (box.hidden) return;
  box.textContent = seatLabel(shown.house, shown.states, position, shown.mine(position));
  const { x, y } = painter.centreOf(position);
  const room = stage.clientWidth - box.offsetWidth - 8;
  box.style.left = `${Math.max(8, Math.min(room, x - box.offsetWidth / 2))}px`;
  box.style.top = `${y > 60 ? y - painter.pitch / painter.ratio / 2 - box.offsetHeight - 8 : y + painter.pitch / painter.ratio + 4}px`;
}

map.addEventListener("wheel", (event) => {
  event.preventDefault();
  const at = placeOf(event);
  const step = event.deltaMode === 0 ? event.deltaY / 100 : event.deltaY / 3;
  pinched *= Math.exp(-0.25 * Math.max(-3, Math.min(3, step)));
  if (Math.abs(painter.pitch * pinched - painter.pitch) >= 1) {
    painter.zoom(pinched, at.x, at.y);
    pinched = 1;
    allowScroll();
  }
}, { passive: false });

map.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const keys = {
    "+": () => painter.zoom(1.4),
    "=": () => painter.zoom(1.4),
    "-": () => painter.zoom(1 / 1.4),
    0: () => painter.showAll(),
    ArrowLeft: () => painter.pan(60, 0),
    ArrowRight: () => painter.pan(-60, 0),
    ArrowUp: () => painter.pan(0, 60),
    ArrowDown: () => painter.pan(0, -60),
  };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
  allowScroll();
});

for (const [id, zoom] of [["zoom-in", () => painter.zoom(1.4)], ["zoom-out", () => painter.zoom(1 / 1.4)], ["zoom-all", () => painter.showAll()]]) {
  byId(id).addEventListener("click", () => {
    zoom();
    allowScroll();
  });
}

/** While all of the house shows, a finger scrolls the page; then it moves the house. */
function allowScroll() {
  map.style.touchAction = painter.isWhole ? "pan-y" : "none";
}

// Light and dark.

const THEMES = ["system", "light", "dark"];
const darkness = matchMedia("(prefers-color-scheme: dark)");
let chosenTheme = storedTheme();

function drawTheme() {
  const system = darkness.matches ? "dark" : "light";
  document.documentElement.dataset.theme = chosenTheme === "system" ? system : chosenTheme;
  byId("theme").textContent = `Theme: ${chosenTheme}`;
  painter.takeColours();
  drawSigns();
}

byId("theme").addEventListener("click", () => {
  chosenTheme = THEMES[(THEMES.indexOf(chosenTheme) + 1) % THEMES.length];
  try {
    localStorage.setItem("inventory-theme", chosenTheme);
  } catch {
    // It is forgotten at the end.
  }
  drawTheme();
});
darkness.addEventListener("change", drawTheme);

function storedTheme() {
  try {
    const kept = localStorage.getItem("inventory-theme");
    return THEMES.includes(kept) ? kept : "system";
  } catch {
    return "system";
  }
}

// Begin.

const painter = new Painter(map, byId("marks"), shown);
const list = new SeatList(byId("section"), byId("grid"), shown, {
  onChoose: isDemo ? choose : null,
  onFocus(position) {
    list.focused = position;
    painter.point(position);
    if (position >= 0) painter.reveal(position);
  },
});
list.focused = -1;

byId("basket").hidden = !isDemo;
byId("grid-pick").hidden = !isDemo;
byId("hold").addEventListener("click", unlessBusy(holdChosen));
byId("chooser").addEventListener("submit", (event) => {
  event.preventDefault();
  const eventId = eventIdOf(byId("event").value);
  if (eventId === null) return say("An event is a number.");
  history.pushState(null, "", `?event=${eventId}`);
  return show(eventId);
});
addEventListener("popstate", () => show(asked()));

/** The event that the address names, or the page's own. */
function asked() {
  return eventIdOf(new URLSearchParams(location.search).get("event")) ?? eventIdOf(document.body.dataset.event);
}

drawLegend();
drawTheme();
allowScroll();
setInterval(tick, 250);
show(asked());
readFigures();

// For the console, and for tests.
window.inventory = { shown, painter, clock, pick: (number) => choose(shown.positionOf.get(number)), get link() { return link; } };
