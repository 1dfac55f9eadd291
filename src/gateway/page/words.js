// What people read and hear: labels, counts, prices, times.

const minuteOf = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const secondOf = new Intl.DateTimeFormat("en-GB", {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
});

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
    if (kind === HELD && Number.isFinite(until))
        words.push(`${words.pop()} until ${minuteOf.format(until)}`);
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
    const parts = KINDS.flatMap(({ word }, kind) =>
        all[kind] || kind === AVAILABLE ? [`${grouped(all[kind])} ${word}`] : [],
    );
    return `${parts.join(", ")}.`;
}

function grouped(value) {
    return value.toLocaleString("en");
}

/** The sum of prices, decimal texts, with as many digits as the longest; null where one is missing. */
function sumOf(prices) {
    if (prices.some((price) => !/^-?\d+(\.\d+)?$/.test(price ?? ""))) return null;
    const digits = Math.max(0, ...prices.map((price) => (price.split(".")[1] ?? "").length));
    const scaled = (price) =>
        BigInt(price.replace(".", "") + "0".repeat(digits - (price.split(".")[1] ?? "").length));
    const sum = prices
        .reduce((total, price) => total + scaled(price), 0n)
        .toString()
        .padStart(digits + 1, "0");
    return digits ? `${sum.slice(0, -digits)}.${sum.slice(-digits)}` : sum;
}

/** `4:05`, `1:02:00`; never below `0:00`. */
function countdown(milliseconds) {
    const seconds = Math.max(0, Math.ceil(milliseconds / 1000));
    const two = (value) => String(value).padStart(2, "0");
    const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
    return hours
        ? `${hours}:${two(minutes)}:${two(seconds % 60)}`
        : `${minutes}:${two(seconds % 60)}`;
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

/** How many of something there were a second, since the last question. `local` as above. */
function rateCounter(local) {
    let count = 0;
    let since = local();
    return {
        add() {
            count += 1;
        },
        perSecond() {
            const now = local();
            const rate = (count * 1000) / Math.max(1000, now - since);
            count = 0;
            since = now;
            return rate;
        },
    };
}

/** An event's id as it stands in addresses, or null. */
function eventIdOf(text) {
    const trimmed = (text ?? "").trim();
    if (!/^[0-9]{1,16}$/.test(trimmed)) return null;
    const id = Number(trimmed);
    return Number.isSafeInteger(id) ? id : null;
}

/** The figures of GET /overview as names and texts, at `now`. What could not be read has no row. */
function figureRows(overview, changeRate, now) {
    const { activity, queues, oldest_hold: oldest } = overview;
    const rows = [];
    const add = (name, value, text) => {
        if (value !== null && value !== undefined) rows.push([name, text(value)]);
    };
    add("Commands a second", activity?.commands_per_second, (rate) => rate.toFixed(1));
    add("Workers", activity?.workers, grouped);
    add("Seat changes a second", changeRate, (rate) => rate.toFixed(1));
    for (const queue of queues ?? []) add(`Queue ${queue.name}`, queueText(queue) || null, String);
    add("Oldest hold", oldest?.reserved_until, (until) =>
        oldestText((Date.parse(until) - now) / 1000),
    );
    return rows;
}

function queueText({ waiting, in_flight: flight, oldest_age_seconds: age }) {
    const parts = [];
    if (Number.isFinite(waiting)) parts.push(`${grouped(waiting)} waiting`);
    if (Number.isFinite(flight)) parts.push(`${grouped(flight)} in flight`);
    if (Number.isFinite(age)) parts.push(`oldest ${spanText(age)}`);
    return parts.join(", ");
}

/** The oldest hold, by the seconds that it has left. */
function oldestText(left) {
    if (left >= 0) return `ends in ${spanText(left)}`;
    return `ended ${spanText(-left)} ago, not yet given back`;
}
