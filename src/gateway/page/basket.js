// The demonstration: choose, hold, book, give back.

/** How long a hold of the demonstration lasts, seconds, and the most seats of one. */
const HOLD_SECONDS = 300;
const SEATS_MAX = 12;
/** How soon it is asked again what became of a hold, milliseconds. */
const CHECK_MS = 3_000;

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

const newId = () =>
    `page-${[...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;

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
            if (position !== undefined)
                shown.own.set(position, status === "CONFIRMED" ? "booked" : "held");
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
    RESERVATION_CONFIRMED: "the seats are booked",
    LIMIT_EXCEEDED: "too many at once",
};

function refusedText({ isUndecided, status, code, detail, seats = [] }) {
    if (isUndecided)
        return "no answer came. It may still happen; the button asks again for the same.";
    const why = REFUSED[code] ?? detail ?? `status ${status}`;
    return `${why}${seats.length ? ` (${seats.join(", ")})` : ""}.`;
}

/** The command that holds these seats: the last one, where nobody knows what became of it. */
function askingFor(seats) {
    const before = shown.asking?.data.seats ?? [];
    if (before.length === seats.length && seats.every((seat) => before.includes(seat)))
        return shown.asking;
    const data = { event_id: shown.eventId, user_id: user, seats, hold_seconds: HOLD_SECONDS };
    return { type: "inventory.reserve.v1", id: newId(), data };
}

async function holdChosen() {
    const seats = numbersOf(shown.chosen);
    const { eventId } = shown;
    if (!seats.length) return;
    const button = byId("hold");
    const hadFocus = document.activeElement === button;
    busy(button, true);
    shown.asked = new Set(shown.chosen);
    shown.asking = askingFor(seats);
    say(`Holding ${seats.join(", ")} …`);
    const answer = await perform(shown.asking, environment);
    if (shown.eventId !== eventId) return;
    busy(button, false);
    if (answer.isUndecided) return say(`Not held: ${refusedText(answer)}`);
    shown.asked.clear();
    shown.asking = null;
    // The layout may be another one by now.
    const positions = positionsOf(seats);
    if (!answer.ok) {
        const refused = (answer.seats ?? []).map((number) => shown.positionOf.get(number));
        const kinds = shown.states?.kinds ?? [];
        const taken = positions.filter((position) => kinds[position] >= 0 && !isSellable(kinds[position]));
        const lost = [...new Set([...refused, ...taken])];
        for (const position of lost) shown.chosen.delete(position);
        changed(lost);
        drawBasket();
        return say(`Not held: ${refusedText(answer)}`);
    }
    for (const position of positions) shown.chosen.delete(position);
    takeResult(answer.result);
    say(
        `Held ${seats.join(", ")} until ${timeOf(Date.parse(answer.result.data.reservation.expires_at))}.`,
    );
    if (hadFocus) focusHold(answer.result.data.reservation.reservation_id);
    return undefined;
}

/** A result of one's own command: shown at once, the stream brings the same. */
function takeResult({ time, data }) {
    clock.learn(time);
    const { reservation, changes: made = [] } = data;
    if (shown.states && shown.house) applyChanges(shown.states, shown.positionOf, made, moved);
    takeReservation(reservation);
}

function takeReservation({ reservation_id: id, seats, status, expires_at: expires }) {
    const before = shown.holds.find((hold) => hold.id === id);
    shown.holds = shown.holds.filter((hold) => hold !== before);
    if (status === "ACTIVE" || status === "CONFIRMED") {
        const hold = before ?? { id, busy: false, checkAt: 0 };
        // What was asked of a hold is not what is asked of a booking.
        if (hold.status !== status) hold.undecided = {};
        Object.assign(hold, { seats, status, until: Date.parse(expires) });
        shown.holds.push(hold);
    }
    drawHolds();
}

/** After one's own reservations changed. */
function drawHolds() {
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
    // Another id would be another command, and refused where the first was carried out after all.
    hold.undecided[type] ??= { type, id: newId(), data };
    const answer = await perform(hold.undecided[type], environment);
    if (!answer.isUndecided) delete hold.undecided[type];
    if (shown.eventId === eventId) {
        if (answer.ok) takeResult(answer.result);
        say(answer.ok ? `${done} ${hold.seats.join(", ")}.` : `Not done: ${refusedText(answer)}`);
        if (!answer.ok) await settle(hold);
    }
    hold.busy = false;
    if (shown.eventId !== eventId) return;
    drawBasket();
    focusHold(hold.id);
}

/** What became of a reservation, by its status in the tables. */
const BECAME = {
    CONFIRMED: "became a booking",
    CANCELLED: "was given back",
    EXPIRED: "has ended",
};

/** Shows a reservation as the tables have it, and says what became of it. */
async function settle(hold) {
    const { eventId } = shown;
    const { status: before } = hold;
    // Without an answer, and where the server's clock is behind the page's, it is asked again soon.
    hold.checkAt = performance.now() + CHECK_MS;
    let found;
    try {
        found = await readReservation(hold.id);
    } catch {
        return;
    }
    if (shown.eventId !== eventId) return;
    const { reservation, now } = found;
    const hasRunOut =
        reservation?.status === "ACTIVE" && Date.parse(reservation.expires_at) <= Date.parse(now);
    const status = hasRunOut ? "EXPIRED" : reservation?.status;
    takeReservation({ ...(reservation ?? { reservation_id: hold.id }), status });
    if (status === before) return;
    const what = before === "CONFIRMED" ? "booking" : "hold";
    say(`The ${what} of ${hold.seats.join(", ")} ${BECAME[status] ?? "is not known any more"}.`);
}

/** `{ reservation, now }` as the tables have it; none where there is no such reservation. */
async function readReservation(id) {
    const answer = await ask(`/reservations/${encodeURIComponent(id)}`);
    if (!answer.ok) {
        const refused = await refusal(answer);
        if (refused.code === "RESERVATION_NOT_FOUND") return {};
        throw refused;
    }
    const found = await answer.json();
    clock.learn(found.now);
    return found;
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
    const positions = [...shown.chosen].sort((a, b) =>
        naturalOrder(shown.numbers[a], shown.numbers[b]),
    );
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
    const remove = element(
        "button",
        { type: "button", "aria-label": `Take ${name} off` },
        `${name} ×`,
    );
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
    words.append(
        element("b", { class: "hold-seats" }),
        element("span", { class: "hold-state", role: "timer", "aria-live": "off" }),
    );
    const book = element("button", { type: "button", class: "main book" }, "Book");
    const back = element("button", { type: "button", class: "back" }, "Give back");
    book.addEventListener(
        "click",
        unlessBusy(() => act(current(), "inventory.confirm.v1", { booking_id: newId() }, "Booked")),
    );
    back.addEventListener(
        "click",
        unlessBusy(() =>
            act(
                current(),
                "inventory.cancel.v1",
                { refund: current().status === "CONFIRMED" },
                "Gave back",
            ),
        ),
    );
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

/** A hold that has ended by the page's clock: what the tables say of it. */
async function check(hold) {
    hold.busy = true;
    drawBasket();
    await settle(hold);
    hold.busy = false;
    drawBasket();
}

/** Counts one's own holds down, by the server's time. */
function tick() {
    for (const hold of [...shown.holds]) {
        const item = byId("holds").querySelector(`[data-id="${hold.id}"]`);
        const state = item?.querySelector(".hold-state");
        if (!state) continue;
        const left = hold.until - clock.now();
        const isBooked = hold.status === "CONFIRMED";
        state.textContent = isBooked ? "booked" : countdown(left);
        state.classList.toggle("soon", !isBooked && left < 30_000);
        if (!isBooked && left <= 0 && !hold.busy && performance.now() >= hold.checkAt) check(hold);
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
            const { reservation } = await readReservation(id);
            if (shown.eventId !== eventId) return;
            if (reservation?.pool === `event#${eventId}`) takeReservation(reservation);
        } catch {
            // The hold ends by itself.
        }
    }
}
