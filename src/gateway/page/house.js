// What the page knows of a house, as pure functions: no document, no network, no clock. Node runs
// them in tests/page/house.test.mjs.

/** What a seat can be. `sign` is the letter of a large seat; `word` is for people. */
const KINDS = [
  { name: "available", word: "available", sign: "" },
  { name: "held", word: "held", sign: "H" },
  { name: "ended", word: "hold ended", sign: "E" },
  { name: "booked", word: "booked", sign: "B" },
  { name: "blocked", word: "blocked", sign: "×" },
];
const AVAILABLE = 0;
const HELD = 1;
const ENDED = 2;
const BOOKED = 3;
const BLOCKED = 4;

/** The most seats of a line: a longer row is drawn, and read, as several lines. */
const LINE_SEATS = 100;
/** The most lines that the list shows at once: a longer section has several pages. */
const PAGE_LINES = 200;

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** Natural order: A-2 before A-10; null last. Never 0 for two texts that differ. */
function naturalOrder(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  return collator.compare(a, b) || (a < b ? -1 : Number(a > b));
}

/**
 * The layout in the order in which it is drawn: sections, their lines, their seats.
 *
 * `layout` is the body of GET /events/{id}/layout. A seat is named by its position in it.
 */
function arrange(layout) {
  const count = layout.numbers.length;
  const text = (column, position) => column.values[column.of[position]] ?? null;
  const rowsOf = new Map();
  for (let position = 0; position < count; position += 1) {
    const section = text(layout.sections, position);
    const row = text(layout.rows, position);
    if (!rowsOf.has(section)) rowsOf.set(section, new Map());
    const rows = rowsOf.get(section);
    if (!rows.has(row)) rows.set(row, []);
    rows.get(row).push(position);
  }
  const house = {
    layout,
    sections: [],
    lines: [],
    lineOf: new Int32Array(count),
    columnOf: new Int32Array(count),
    nameOf: new Array(count),
  };
  for (const section of [...rowsOf.keys()].sort(naturalOrder)) {
    const rows = rowsOf.get(section);
    const lines = [...rows.keys()].sort(naturalOrder).flatMap((row) => linesOf(layout, row, rows.get(row)));
    addSection(house, section, lines);
  }
  return house;
}

function linesOf(layout, row, positions) {
  positions.sort((a, b) => naturalOrder(layout.numbers[a], layout.numbers[b]));
  const names = shortNames(positions.map((position) => layout.numbers[position]));
  const lines = [];
  for (let from = 0; from < positions.length; from += LINE_SEATS) {
    const to = from + LINE_SEATS;
    lines.push({ row, seats: positions.slice(from, to), names: names.slice(from, to), of: positions.length });
  }
  return lines;
}

function addSection(house, name, lines) {
  const section = { name, firstLine: house.lines.length, lines, width: 0, seats: 0 };
  lines.forEach((line) => {
    line.section = house.sections.length;
    line.seats.forEach((position, column) => {
      house.lineOf[position] = house.lines.length;
      house.columnOf[position] = column;
      house.nameOf[position] = line.names[column];
    });
    section.width = Math.max(section.width, line.seats.length);
    section.seats += line.seats.length;
    house.lines.push(line);
  });
  house.sections.push(section);
}

/** Numbers of one row without what they all begin with, up to a separator: are 1, 2. */
function shortNames(numbers) {
  let common = numbers[0];
  for (const number of numbers) {
    while (!number.startsWith(common)) common = common.slice(0, -1);
  }
  if (numbers.length === 1) common = common.slice(0, -1);
  const length = common.search(/[-./:_ ][^-./:_ ]*$/) + 1;
  return numbers.map((number) => number.slice(length));
}

/** The pages of the list: a section, or a part of a long one. */
function pagesOf(house) {
  return house.sections.flatMap((section, index) => {
    const pages = [];
    for (let from = 0; from < section.lines.length; from += PAGE_LINES) {
      const to = Math.min(from + PAGE_LINES, section.lines.length);
      pages.push({ section: index, from: section.firstLine + from, to: section.firstLine + to });
    }
    return pages;
  });
}

function sectionName(section) {
  return section.name ?? "No section";
}

// Where things are drawn, in cells: a cell is as wide and as high as a seat with its gap.

/** CSS pixels of the largest and the smallest cell when the whole house is shown. */
const FIT_MAX = 30;
const FIT_MIN = 1.5;
/** CSS pixels that a section's title needs. */
const TITLE = 15;

/**
 * Sections as blocks, left to right and then down, in the largest cells with which all of them fit
 * into `width` by `height` device pixels. `ratio` is device pixels per CSS pixel; `pitch` the cell
 * in device pixels, whole, so that every seat begins on a pixel.
 */
function place(sections, width, height, ratio) {
  const smallest = Math.max(2, Math.floor(FIT_MIN * ratio));
  for (let pitch = Math.floor(FIT_MAX * ratio); pitch > smallest; pitch -= 1) {
    const plan = pack(sections, Math.floor(width / pitch), pitch, ratio);
    if (plan.width * pitch <= width && plan.height * pitch <= height) return plan;
  }
  return pack(sections, Math.floor(width / smallest), smallest, ratio);
}

/** The cells that a section's title takes. */
function titleCells(pitch, ratio) {
  return Math.max(1, Math.ceil((TITLE * ratio) / pitch));
}

function pack(sections, width, pitch, ratio) {
  const title = titleCells(pitch, ratio);
  const label = pitch >= 10 * ratio ? 2 : 1;
  const plan = { pitch, title, label, width: 0, height: 0, shelves: [], blocks: [] };
  let shelf = null;
  for (const section of sections) {
    const block = { x: 0, y: 0, width: section.width + label + 1, height: section.lines.length + title + 1 };
    if (!shelf || shelf.width + 1 + block.width > width) {
      const y = shelf ? shelf.y + shelf.height + 1 : 0;
      shelf = { y, width: -1, height: 0, first: plan.blocks.length, blocks: [] };
      plan.shelves.push(shelf);
    }
    block.x = shelf.width + 1;
    block.y = shelf.y;
    shelf.width = block.x + block.width;
    shelf.height = Math.max(shelf.height, block.height);
    shelf.blocks.push(block);
    plan.blocks.push(block);
    plan.width = Math.max(plan.width, shelf.width);
    plan.height = shelf.y + shelf.height;
  }
  for (const { blocks, width: used } of plan.shelves) {
    const aside = Math.floor((plan.width - used) / 2);
    for (const block of blocks) block.x += aside;
  }
  return plan;
}

/** The same shelves with titles of another height. */
function retitle(plan, title) {
  const less = plan.title - title;
  const shelves = plan.shelves.map((shelf, index) => {
    const y = shelf.y - index * less;
    const blocks = shelf.blocks.map((block) => ({ ...block, y, height: block.height - less }));
    return { ...shelf, y, height: shelf.height - less, blocks };
  });
  const blocks = shelves.flatMap((shelf) => shelf.blocks);
  return { ...plan, title, shelves, blocks, height: plan.height - plan.shelves.length * less };
}

/** Where a height (in cells) of one plan is in another that differs in its titles. */
function heightIn(plan, other, y) {
  const index = lastBefore(plan.shelves, "y", y);
  if (index < 0) return y;
  const inside = y - plan.shelves[index].y;
  const below = inside - plan.title;
  return other.shelves[index].y + (below < 0 ? (inside / plan.title) * other.title : below + other.title);
}

/** The cell of a seat. */
function cellOf(house, plan, position) {
  const line = house.lineOf[position];
  const section = house.lines[line].section;
  const block = plan.blocks[section];
  return {
    x: block.x + plan.label + house.columnOf[position],
    y: block.y + plan.title + line - house.sections[section].firstLine,
  };
}

/** The last of `items`, sorted by `key`, that begins at or before `at`. */
function lastBefore(items, key, at) {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle][key] <= at) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The seat whose cell has the point (in cells), or -1. */
function seatAt(house, plan, x, y) {
  const shelf = plan.shelves[lastBefore(plan.shelves, "y", y)];
  if (!shelf) return -1;
  const index = lastBefore(shelf.blocks, "x", x);
  const block = shelf.blocks[index];
  if (!block) return -1;
  const line = Math.floor(y - block.y - plan.title);
  const column = Math.floor(x - block.x - plan.label);
  return house.sections[shelf.first + index].lines[line]?.seats[column] ?? -1;
}

// States, as the stream sends them.

function kindOf(letter, sellable) {
  switch (letter) {
    case "A": return AVAILABLE;
    case "R": return sellable ? ENDED : HELD;
    case "B": return BOOKED;
    default: return BLOCKED;
  }
}

/** Whether a seat of this kind can be taken. */
function isSellable(kind) {
  return kind === AVAILABLE || kind === ENDED;
}

/** The states of a snapshot. `map` is the body of GET /events/{id}/map. */
function statesOf(map) {
  const count = map.status.length;
  const states = {
    layout: map.layout,
    kinds: new Uint8Array(count),
    versions: Float64Array.from(map.versions),
    until: new Float64Array(count).fill(NaN),
  };
  const from = Date.parse(map.holds.from);
  let held = 0;
  for (let position = 0; position < count; position += 1) {
    const letter = map.status[position];
    states.kinds[position] = kindOf(letter, map.sellable[position] === "1");
    if (letter !== "R") continue;
    const after = map.holds.after[held];
    held += 1;
    if (after !== null && after !== undefined) states.until[position] = from + after * 1000;
  }
  return states;
}

/**
 * Applies a delta: no seat goes back in version. Calls `moved(position, before, after)` for each
 * seat whose state is another now. Returns false, and changes nothing, where the delta is for
 * another layout.
 */
function applyDelta(states, delta, moved) {
  const fits = ([position]) => Number.isInteger(position) && position >= 0 && position < states.kinds.length;
  if (delta.layout !== states.layout || !delta.seats.every(fits)) return false;
  for (const [position, version, letter, sellable, until] of delta.seats) {
    if (version >= states.versions[position]) {
      setState(states, position, version, kindOf(letter, sellable === 1), until, moved);
    }
  }
  return true;
}

const LETTERS = { AVAILABLE: "A", RESERVED: "R", BOOKED: "B", BLOCKED: "X" };

/** Applies the changes of a command's result, which may come before or after the stream's. */
function applyChanges(states, positionOf, changes, moved) {
  for (const { seat_number: number, version, status, reserved_until: until } of changes) {
    const position = positionOf.get(number);
    if (position === undefined || version <= states.versions[position]) continue;
    setState(states, position, version, kindOf(LETTERS[status], false), until, moved);
  }
}

function setState(states, position, version, kind, until, moved) {
  const before = states.kinds[position];
  const end = until ? Date.parse(until) : NaN;
  const same = kind === before && Object.is(end, states.until[position]);
  states.versions[position] = version;
  states.kinds[position] = kind;
  states.until[position] = end;
  if (!same) moved(position, before, kind);
}

/** How many seats there are of each kind: in all, and of each line. */
function tallyOf(house, states) {
  const tally = { all: new Int32Array(KINDS.length), lines: new Int32Array(KINDS.length * house.lines.length) };
  states.kinds.forEach((kind, position) => addTo(tally, house, position, kind, 1));
  return tally;
}

function addTo(tally, house, position, kind, by) {
  tally.all[kind] += by;
  tally.lines[house.lineOf[position] * KINDS.length + kind] += by;
}

/** Moves one seat from one kind to another. */
function recount(tally, house, position, before, after) {
  addTo(tally, house, position, before, -1);
  addTo(tally, house, position, after, 1);
}

/** The sellable seats of the lines from `from` to before `to`. */
function sellableIn(tally, from, to) {
  let sellable = 0;
  for (let line = from; line < to; line += 1) {
    sellable += tally.lines[line * KINDS.length + AVAILABLE] + tally.lines[line * KINDS.length + ENDED];
  }
  return sellable;
}

// Words.

const minuteOf = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const secondOf = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** The viewer's time of day, with seconds. */
function timeOf(time) {
  return Number.isFinite(time) ? secondOf.format(time) : "an unknown time";
}

/** `row 12, seat 25, held until 10:42`. `mine` is "", "chosen", "held" or "booked". */
function seatLabel(house, states, position, mine) {
  const { row } = house.lines[house.lineOf[position]];
  const kind = states.kinds[position];
  const until = states.until[position];
  const words = [];
  if (row !== null) words.push(`row ${row}`);
  words.push(`seat ${house.nameOf[position]}`);
  if (mine === "held" || mine === "booked") words.push(`${mine} by you`);
  else words.push(KINDS[kind].word);
  if (kind === HELD && Number.isFinite(until)) words.push(`${words.pop()} until ${minuteOf.format(until)}`);
  if (isSellable(kind)) {
    const { types, prices } = house.layout;
    for (const column of [types, prices]) {
      const text = column.values[column.of[position]];
      if (text !== undefined) words.push(text);
    }
  }
  if (mine === "chosen") words.push("chosen");
  return words.join(", ");
}

/** `Row A`, or which part of a long or nameless row it is. */
function lineName(house, line) {
  const { row, names, of } = house.lines[line];
  const name = row === null ? "No row" : `Row ${row}`;
  return of > names.length ? `${name}, ${names[0]} to ${names[names.length - 1]}` : name;
}

/** `1,204 available, 31 held, 765 booked`: what there is, without what there is none of. */
function countsText(all) {
  const parts = KINDS.flatMap(({ word }, kind) => (all[kind] || kind === AVAILABLE ? [`${grouped(all[kind])} ${word}`] : []));
  return `${parts.join(", ")}.`;
}

function grouped(value) {
  return value.toLocaleString("en");
}

/** The sum of prices, decimal texts, with as many digits as the longest; null where one is missing. */
function sumOf(prices) {
  if (prices.some((price) => !/^-?\d+(\.\d+)?$/.test(price ?? ""))) return null;
  const digits = Math.max(0, ...prices.map((price) => (price.split(".")[1] ?? "").length));
  const scaled = (price) => BigInt(price.replace(".", "") + "0".repeat(digits - (price.split(".")[1] ?? "").length));
  const sum = prices.reduce((total, price) => total + scaled(price), 0n).toString().padStart(digits + 1, "0");
  return digits ? `${sum.slice(0, -digits)}.${sum.slice(-digits)}` : sum;
}

/** `4:05`, `1:02:00`; never below `0:00`. */
function countdown(milliseconds) {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000));
  const two = (value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** `3 s`, `2 min`, `1.5 h`. */
function spanText(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/**
 * The server's time, from the `now` of its answers. An answer is on its way for a while, so of the
 * last eight the one that was fastest is right. `local` is a clock that only goes forward.
 */
function serverClock(local) {
  let offsets = [];
  return {
    learn(now) {
      const time = Date.parse(now);
      if (Number.isFinite(time)) offsets = [...offsets.slice(-7), time - local()];
    },
    now: () => local() + (offsets.length ? Math.max(...offsets) : Date.now() - local()),
  };
}

/** An event's id as it stands in addresses, or null. */
function eventIdOf(text) {
  const trimmed = (text ?? "").trim();
  if (!/^[0-9]{1,16}$/.test(trimmed)) return null;
  const id = Number(trimmed);
  return Number.isSafeInteger(id) ? id : null;
}
