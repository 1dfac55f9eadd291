// A stand-in for the gateway: the routes that the page asks, over a house in memory that sells by
// itself. Tests break it on purpose.
//
//   node tests/page/stand-in.mjs --seats 20000 --rate 200 --port 8090

import { createHash, randomBytes, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { pageDocument } from "./document.mjs";

const FRAME_MS = 250;
const FRAMES_KEPT = 1024;

/** A house of sections of 20 rows of 25 seats, or of the seats that are given. */
export function makeLayout(seats, eventId = 1) {
  const all = [];
  for (let index = 0; index < seats; index += 1) {
    const [section, row, seat] = [
      Math.floor(index / 500) + 1,
      (Math.floor(index / 25) % 20) + 1,
      (index % 25) + 1,
    ];
    all.push({
      number: `${section}-${row}-${seat}`,
      section: `Block ${section}`,
      row: String(row),
      price: row <= 5 ? "79.00" : "49.50",
    });
  }
  return layoutOf(all, eventId);
}

/** Seats are `{ number, section, row, type, price }`; in columns, in byte order of their numbers. */
export function layoutOf(seats, eventId = 1) {
  const sorted = [...seats].sort((a, b) =>
    Buffer.compare(Buffer.from(a.number), Buffer.from(b.number)),
  );
  const column = (field) => {
    const values = [
      ...new Set(
        sorted.map((seat) => seat[field]).filter((text) => text !== undefined && text !== null),
      ),
    ];
    const indexOf = new Map(values.map((text, index) => [text, index]));
    return { values, of: sorted.map((seat) => indexOf.get(seat[field]) ?? null) };
  };
  return {
    event_id: eventId,
    numbers: sorted.map((seat) => seat.number),
    sections: column("section"),
    rows: column("row"),
    types: column("type"),
    prices: column("price"),
  };
}

const instant = (time) => new Date(time).toISOString();

export class StandIn {
  /** `rate` is changes a second that happen by themselves; `token` what callers need, or null. */
  constructor({ layout = makeLayout(20_000), rate = 0, demo = true, token = null, seed = 1 } = {}) {
    Object.assign(this, { rate, demo, token });
    this.random = generator(seed);
    this.readers = new Set();
    this.pollers = new Set();
    this.tickets = new Set();
    this.reservations = new Map();
    this.outcomes = new Map();
    this.rejected = {};
    this.requests = [];
    /** `ok`, `refused` (streams answer 503), `down` (every connection is cut). */
    this.mode = "ok";
    /** Answers to POST /commands that are lost after the command took effect. */
    this.losses = 0;
    /** Requests (`GET /overview`) that are answered 503: a pattern, or null. */
    this.refuses = null;
    /** What commands wait for before they are decided, and after that before they are answered. */
    this.decisionGate = null;
    this.answerGate = null;
    this.handled = 0;
    this.overviewAt = Date.now();
    this.build(layout);
    this.server = createServer((request, response) => this.answer(request, response));
  }

  build(layout) {
    this.layout = layout;
    this.layoutJson = JSON.stringify(layout);
    this.tag = createHash("sha256").update(this.layoutJson).digest("hex").slice(0, 32);
    this.positionOf = new Map(layout.numbers.map((number, position) => [number, position]));
    this.seats = layout.numbers.map(() => ({
      version: 1,
      letter: "A",
      until: null,
      reservation: null,
    }));
    this.epoch = randomBytes(4).toString("hex");
    this.frames = [];
    this.sequence = 0;
    this.pending = new Set();
    this.ends = [];
  }

  async listen(port = 0) {
    await new Promise((listening) => this.server.listen(port, "127.0.0.1", listening));
    this.port = this.server.address().port;
    this.timer = setInterval(() => this.step(), FRAME_MS);
    return `http://127.0.0.1:${this.port}`;
  }

  async close() {
    clearInterval(this.timer);
    this.server.closeAllConnections();
    await new Promise((closed) => this.server.close(closed));
  }

  // The sale.

  step() {
    this.churn(Math.round((this.rate * FRAME_MS) / 1000));
    this.endHolds();
    this.flush();
  }

  /** Makes changes of others: holds, which are booked or given back. */
  churn(changes) {
    for (let made = 0; made < changes; made += 1) {
      const position = Math.floor(this.random() * this.seats.length);
      const seat = this.seats[position];
      if (seat.reservation) continue;
      if (seat.letter === "A")
        this.set(position, "R", Date.now() + 60_000 + this.random() * 500_000);
      else if (seat.letter === "R") this.set(position, this.random() < 0.7 ? "B" : "A", null);
      else if (this.random() < 0.5) this.set(position, "A", null);
      this.handled += 1;
      if (this.random() < 0.05)
        this.reject(this.random() < 0.8 ? "SEATS_UNAVAILABLE" : "RESERVATION_EXPIRED");
    }
  }

  reject(code) {
    this.rejected[code] = (this.rejected[code] ?? 0) + 1;
  }

  set(position, letter, until, reservation = null) {
    const seat = this.seats[position];
    seat.version += 1;
    Object.assign(seat, { letter, until, reservation });
    this.pending.add(position);
    if (until !== null) this.ends.push({ position, version: seat.version, until });
  }

  endHolds() {
    const now = Date.now();
    this.ends = this.ends.filter(({ position, version, until }) => {
      if (this.seats[position].version !== version) return false;
      if (until > now) return true;
      this.pending.add(position);
      return false;
    });
  }

  isSellable({ letter, until }) {
    return letter === "A" || (letter === "R" && until !== null && until <= Date.now());
  }

  /** Sends what changed as one frame. */
  flush() {
    if (!this.pending.size) return;
    const seats = [...this.pending].map((position) => {
      const seat = this.seats[position];
      const until = seat.until === null ? null : instant(seat.until);
      return [position, seat.version, seat.letter, this.isSellable(seat) ? 1 : 0, until];
    });
    this.pending.clear();
    const now = instant(Date.now());
    this.send("delta", { now, as_of: now, layout: this.tag, seats });
  }

  send(event, data) {
    this.sequence += 1;
    const frame = { event, id: `${this.epoch}-${this.sequence}`, data };
    this.frames.push(frame);
    if (this.frames.length > FRAMES_KEPT) this.frames.shift();
    const text = encode(frame);
    for (const reader of this.readers) reader.write(text);
    for (const poller of this.pollers) poller();
  }

  snapshot() {
    const held = this.seats.filter((seat) => seat.letter === "R");
    const from = held.length ? Math.min(...held.map((seat) => seat.until)) : null;
    const now = instant(Date.now());
    const map = {
      event_id: this.layout.event_id,
      layout: this.tag,
      status: this.seats.map((seat) => seat.letter).join(""),
      sellable: this.seats.map((seat) => (this.isSellable(seat) ? "1" : "0")).join(""),
      versions: this.seats.map((seat) => seat.version),
      holds: {
        from: from === null ? null : instant(from),
        after: held.map((seat) => Math.ceil((seat.until - from) / 1000)),
      },
    };
    return {
      event: "snapshot",
      id: `${this.epoch}-${this.sequence}`,
      data: { now, as_of: now, map },
    };
  }

  /** The frames after an id, or a snapshot. */
  after(id) {
    const [epoch, sequence] = (id ?? "").split("-");
    const first = this.sequence - this.frames.length;
    const number = Number(sequence);
    const isKnown = epoch === this.epoch && number >= first && number <= this.sequence;
    return isKnown ? this.frames.slice(number - first) : [this.snapshot()];
  }

  /** Another layout: readers get a snapshot with its tag. */
  restock(layout) {
    this.build(layout);
    const { event, data } = this.snapshot();
    this.send(event, data);
  }

  /** As after a restart: nothing is known of what readers saw. */
  restart() {
    this.build(this.layout);
    this.cut();
  }

  /** Cuts every stream off. */
  cut() {
    for (const reader of this.readers) reader.destroy();
  }

  bye(reason) {
    for (const reader of this.readers) {
      reader.end(encode({ event: "bye", data: { reason } }));
    }
  }

  // HTTP.

  async answer(request, response) {
    const url = new URL(request.url, "http://stand-in");
    this.requests.push(`${request.method} ${url.pathname}${url.search}`);
    if (this.requests.length > 10_000) this.requests.splice(0, 5_000);
    if (this.mode === "down") return request.socket.destroy();
    const changes = /^\/events\/(\d+)\/changes$/.exec(url.pathname);
    if (url.pathname === "/") return this.page(response);
    if (this.token && !this.isAllowed(request, url))
      return problem(response, 401, "UNAUTHENTICATED", "authorization: expected a token");
    if (changes && changes[1] !== String(this.layout.event_id))
      return problem(response, 404, "EVENT_NOT_FOUND", "no such event");
    if (changes) return this.changes(request, url, response);
    const body = await bodyOf(request);
    if (this.refuses?.test(`${request.method} ${url.pathname}`))
      return problem(response, 503, "UNAVAILABLE", "not now");
    switch (`${request.method} ${url.pathname}`) {
      case `GET /events/${this.layout.event_id}/layout`:
        return reply(response, 200, this.layoutJson, {
          etag: `"${this.tag}-gzip"`,
          "content-encoding": "gzip",
        });
      case "GET /overview":
        return reply(response, 200, this.overview());
      case "POST /commands":
        return this.post(JSON.parse(body), response);
      case "GET /commands":
        return this.outcome(url.searchParams, response);
      case "POST /stream-tickets":
        return this.ticket(response);
      default:
        return this.reservation(url, response);
    }
  }

  page(response) {
    const { html, policy } = pageDocument({ demo: this.demo, event: this.layout.event_id });
    response.writeHead(200, {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": policy,
    });
    response.end(html);
  }

  isAllowed(request, url) {
    if (request.headers.authorization === `Bearer ${this.token}`) return true;
    return url.pathname.endsWith("/changes") && this.tickets.delete(url.searchParams.get("ticket"));
  }

  ticket(response) {
    const ticket = randomBytes(16).toString("hex");
    this.tickets.add(ticket);
    reply(response, 201, { ticket, expires_at: instant(Date.now() + 30_000) });
  }

  changes(request, url, response) {
    const since = request.headers["last-event-id"] ?? url.searchParams.get("since");
    if (url.searchParams.has("wait"))
      return this.poll(since, Number(url.searchParams.get("wait")), response);
    if (this.mode === "refused") return problem(response, 503, "UNAVAILABLE", "no streams");
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.write(`retry: 1000\n\n${this.after(since).map(encode).join("")}`);
    this.readers.add(response);
    response.on("close", () => this.readers.delete(response));
    return undefined;
  }

  poll(since, wait, response) {
    const finish = () => {
      clearTimeout(timer);
      this.pollers.delete(finish);
      reply(response, 200, { id: `${this.epoch}-${this.sequence}`, frames: this.after(since) });
    };
    const timer = setTimeout(finish, wait * 1000);
    response.on("close", () => {
      clearTimeout(timer);
      this.pollers.delete(finish);
    });
    if (this.after(since).length) finish();
    else this.pollers.add(finish);
  }

  overview() {
    const now = instant(Date.now());
    const held = this.seats.filter((seat) => seat.letter === "R").map((seat) => seat.until);
    const seconds = Math.max(0.1, (Date.now() - this.overviewAt) / 1000);
    const rate = Math.round((this.handled * 10) / seconds) / 10;
    this.handled = 0;
    this.overviewAt = Date.now();
    return {
      now,
      sampled_at: now,
      queues: [
        {
          name: "commands",
          waiting: Math.round(this.rate * this.random()),
          in_flight: Math.round(this.rate / 20),
          oldest_age_seconds: this.rate ? this.random() : 0,
        },
        { name: "restocks", waiting: 0, in_flight: 0, oldest_age_seconds: null },
      ],
      activity: {
        workers: 2,
        commands_per_second: rate,
        completed: { "inventory.reserve.v1": 1200 },
        rejected: this.rejected,
      },
      oldest_hold: held.length
        ? { reserved_until: instant(held.reduce((a, b) => Math.min(a, b))) }
        : null,
    };
  }

  async post(command, response) {
    const source = command.source ?? "/callers/local";
    const key = `${source} ${command.id}`;
    await this.decisionGate;
    if (!this.outcomes.has(key)) this.outcomes.set(key, this.decide(command, source));
    await this.answerGate;
    if (this.losses > 0) {
      this.losses -= 1;
      return response.destroy();
    }
    return this.tell(this.outcomes.get(key), response);
  }

  outcome(query, response) {
    const found = this.outcomes.get(`${query.get("source")} ${query.get("id")}`);
    if (!found) return problem(response, 404, "COMMAND_NOT_FOUND", "no such command");
    if (found.status === 200) return this.tell(found, response);
    const { code, detail: message, seats } = found.body;
    const rejection = { code, message, seats };
    return reply(response, 200, { type: "inventory.rejected.v1", data: { rejection } });
  }

  tell({ status, body }, response) {
    if (status === 200) return reply(response, 200, body);
    this.reject(body.code);
    return problem(response, status, body.code, body.detail, body.seats);
  }

  decide({ type, data, id }, source) {
    this.handled += 1;
    const refuse = (status, code, seats = []) => ({
      status,
      body: { code, detail: code.toLowerCase(), seats },
    });
    if (type === "inventory.reserve.v1") {
      const taken = data.seats.filter(
        (number) => !this.isSellable(this.seats[this.positionOf.get(number)]),
      );
      if (taken.length) return refuse(409, "SEATS_UNAVAILABLE", taken);
      const until = Math.ceil(Date.now() / 1000) * 1000 + (data.hold_seconds ?? 600) * 1000;
      const reservation = {
        reservation_id: randomUUID(),
        source,
        user_id: data.user_id,
        status: "ACTIVE",
        version: 1,
        seats: data.seats,
        lines: [],
        created_at: instant(Date.now()),
        expires_at: instant(until),
        pool: `event#${data.event_id}`,
      };
      this.reservations.set(reservation.reservation_id, reservation);
      return this.made("inventory.reserved.v1", reservation, {
        letter: "R",
        until,
        source,
        id,
        type,
      });
    }
    const reservation = this.reservations.get(data.reservation_id);
    if (!reservation) return refuse(404, "RESERVATION_NOT_FOUND");
    if (reservation.user_id !== data.user_id) return refuse(403, "NOT_OWNER");
    const isConfirm = type === "inventory.confirm.v1";
    if (reservation.status === "CANCELLED") return refuse(409, "RESERVATION_CANCELLED");
    if (reservation.status === "CONFIRMED" && (isConfirm || !data.refund))
      return refuse(409, "RESERVATION_CONFIRMED");
    if (isConfirm && Date.parse(reservation.expires_at) <= Date.now())
      return refuse(410, "RESERVATION_EXPIRED");
    reservation.version += 1;
    if (isConfirm) {
      Object.assign(reservation, { status: "CONFIRMED", booking_id: data.booking_id });
      return this.made("inventory.confirmed.v1", reservation, {
        letter: "B",
        until: null,
        source,
        id,
        type,
      });
    }
    reservation.status = "CANCELLED";
    return this.made("inventory.cancelled.v1", reservation, {
      letter: "A",
      until: null,
      source,
      id,
      type,
    });
  }

  made(result, reservation, { letter, until, source, id, type }) {
    const words = { A: "AVAILABLE", R: "RESERVED", B: "BOOKED" };
    const changes = reservation.seats.map((number) => {
      const position = this.positionOf.get(number);
      this.set(position, letter, until, letter === "A" ? null : reservation.reservation_id);
      return {
        seat_number: number,
        version: this.seats[position].version,
        status: words[letter],
        ...(until ? { reserved_until: instant(until) } : {}),
      };
    });
    const data = {
      command: { source, id, type },
      event_id: this.layout.event_id,
      reservation: { ...reservation, pool: undefined },
      changes,
    };
    return {
      status: 200,
      body: {
        specversion: "1.0",
        id: randomUUID(),
        source: "/inventory-worker",
        type: result,
        time: instant(Date.now()),
        data,
      },
    };
  }

  reservation(url, response) {
    const found = this.reservations.get(/^\/reservations\/(.*)$/.exec(url.pathname)?.[1]);
    if (!found) return problem(response, 404, "RESERVATION_NOT_FOUND", "no such reservation");
    return reply(response, 200, { reservation: found, now: instant(Date.now()) });
  }
}

function encode({ event, id, data }) {
  return `event: ${event}\n${id ? `id: ${id}\n` : ""}data: ${JSON.stringify(data)}\n\n`;
}

function reply(response, status, body, headers = {}) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(headers["content-encoding"] === "gzip" ? gzipSync(text) : text);
}

function problem(response, status, code, detail, seats) {
  response.writeHead(status, { "content-type": "application/problem+json" });
  response.end(JSON.stringify({ title: code, status, detail, code, seats }));
}

async function bodyOf(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString("utf8");
}

/** The same numbers each time (mulberry32). */
function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const option = (name, otherwise) => {
    const at = process.argv.indexOf(`--${name}`);
    return at < 0 ? otherwise : Number(process.argv[at + 1]);
  };
  const standIn = new StandIn({
    layout: makeLayout(option("seats", 20_000)),
    rate: option("rate", 200),
  });
  console.log(await standIn.listen(option("port", 8090)));
}
