// The states of seats, as the stream sends them, and how many there are of each.

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

function kindOf(letter, sellable) {
    switch (letter) {
        case "A":
            return AVAILABLE;
        case "R":
            return sellable ? ENDED : HELD;
        case "B":
            return BOOKED;
        default:
            return BLOCKED;
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
    const fits = ([position]) =>
        Number.isInteger(position) && position >= 0 && position < states.kinds.length;
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
    const tally = {
        all: new Int32Array(KINDS.length),
        lines: new Int32Array(KINDS.length * house.lines.length),
    };
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
        sellable +=
            tally.lines[line * KINDS.length + AVAILABLE] + tally.lines[line * KINDS.length + ENDED];
    }
    return sellable;
}
