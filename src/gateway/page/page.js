// The page: its parts, and what connects them.

function byId(id) {
    return document.getElementById(id);
}

const isDemo = document.body.dataset.demo === "true";

/** How long an answer may take, milliseconds; a command is awaited for ten seconds of it. */
const ANSWER_MS = 30_000;
/** How long nobody looks at the page before it gives its stream back. */
const REST_MS = 30_000;

const clock = serverClock(() => performance.timeOrigin + performance.now());

/** What is shown. */
const shown = {
    eventId: null,
    /** These belong together, and are there or not together; positions are of this house. */
    house: null,
    states: null,
    tally: null,
    numbers: [],
    positionOf: new Map(),
    /** The states of a layout that is still being read; until then what was shown stays. */
    coming: null,
    /** Positions. */
    chosen: new Set(),
    /** Those of them for which a hold is asked: its answer says what became of them. */
    asked: new Set(),
    /** The command that asks for it, until its outcome is known. */
    asking: null,
    /**
     * Own reservations: `{ id, seats (numbers), until, status, busy, undecided, checkAt }`.
     * `undecided` are commands without an outcome, by type; `checkAt` is when to look again what
     * became of it.
     */
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
    const answer = await fetch(path, {
        signal: AbortSignal.timeout(ANSWER_MS),
        ...options,
        headers: { ...headers, ...identity },
        cache: "no-cache",
    });
    if (answer.status === 401)
        askForToken(
            token ? "The token is not, or no longer, valid." : "This gateway asks who you are.",
        );
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
    figures.hurry();
});

const sleep = (milliseconds, signal) =>
    new Promise((slept) => {
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
    Object.assign(shown, {
        eventId,
        house: null,
        states: null,
        tally: null,
        numbers: [],
        positionOf: new Map(),
        coming: null,
        asking: null,
        holds: [],
    });
    shown.chosen.clear();
    shown.asked.clear();
    shown.own.clear();
    reading = null;
    unread = "";
    tellState("connecting");
    tellBanner("");
    say("");
    byId("event").value = eventId ?? "";
    byId("title").textContent = eventId === null ? "Seats" : `Event ${eventId}`;
    document.title = eventId === null ? "Seats" : `Event ${eventId} – seats`;
    painter.arrange();
    list.arrange();
    tip(-1);
    drawLegend();
    busy(byId("hold"), false);
    drawBasket();
    if (eventId === null) return tellEmpty("Which event? Give its number above.");
    tellEmpty("Reading the house …");
    stream = follow(
        `/events/${eventId}/changes`,
        { onFrame: take, onState: tellState },
        environment,
    );
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
    const states = statesOf(map);
    if (shown.house?.tag !== map.layout) {
        shown.coming = states;
        return readLayout(map.layout);
    }
    shown.states = states;
    shown.coming = null;
    reading = null;
    tellRead();
    return takeStates();
}

/** Everything that shows states, after they were replaced. */
function takeStates() {
    shown.tally = tallyOf(shown.house, shown.states);
    for (const position of shown.chosen) {
        const isTaken = !isSellable(shown.states.kinds[position]) && !shown.asked.has(position);
        if (isTaken) shown.chosen.delete(position);
    }
    own();
    painter.redraw();
    list.refresh();
    drawLegend();
    drawBasket();
}

async function readLayout(tag) {
    if (reading === tag) return;
    reading = tag;
    const { eventId } = shown;
    for (
        let wait = 500;
        reading === tag && shown.eventId === eventId;
        wait = Math.min(8000, wait * 2)
    ) {
        try {
            const answer = await ask(`/events/${eventId}/layout`);
            const found = answer.headers.get("etag") ?? "";
            const body = answer.ok ? await answer.json() : null;
            if (reading !== tag || shown.eventId !== eventId) return;
            if (body && found.includes(tag)) {
                reading = null;
                return takeLayout(tag, body);
            }
            if (!answer.ok) tellUnread(` (${answer.status})`);
        } catch {
            if (reading === tag && shown.eventId === eventId) tellUnread("");
        }
        await sleep(wait);
    }
}

/** Why what is shown is not what there is, while the stream is well. */
let unread = "";

function tellUnread(why) {
    const text = `layout cannot be read${why}; trying again.`;
    if (!shown.house) return tellEmpty(`The ${text}`);
    unread = `The house has changed, and its new ${text}`;
    return tellBanner(unread);
}

function tellRead() {
    unread = "";
    if (link !== "waiting") tellBanner("");
}

function takeLayout(tag, layout) {
    const states = shown.coming;
    if (states?.layout !== tag) return undefined;
    if (layout.numbers.length !== states.kinds.length) return stream.restart();
    const [chosen, asked] = [numbersOf(shown.chosen), numbersOf(shown.asked)];
    const house = arrange(layout);
    house.tag = tag;
    Object.assign(shown, {
        house,
        states,
        tally: tallyOf(house, states),
        numbers: layout.numbers,
        positionOf: new Map(layout.numbers.map((number, position) => [number, position])),
        coming: null,
    });
    shown.chosen = new Set(positionsOf(chosen));
    shown.asked = new Set(positionsOf(asked));
    shown.own.clear();
    tellRead();
    tellEmpty(layout.numbers.length ? "" : "This event has no seats.");
    painter.arrange();
    list.arrange();
    tip(-1);
    takeStates();
    return undefined;
}

/** Seats by their numbers, which stay theirs, and by their positions in the layout that is shown. */
function numbersOf(positions) {
    return [...positions].map((position) => shown.numbers[position]);
}

function positionsOf(numbers) {
    return numbers
        .map((number) => shown.positionOf.get(number))
        .filter((position) => position !== undefined);
}

function takeDelta(delta) {
    const { coming, states } = shown;
    if (!coming && !states) return;
    const isApplied = applyDelta(coming ?? states, delta, coming ? changes.add : moved);
    if (!isApplied) stream.restart();
    drawLegend();
}

/** A seat is of another kind, or held until another time. */
function moved(position, before, after) {
    changes.add();
    recount(shown.tally, shown.house, position, before, after);
    if (shown.chosen.has(position) && !shown.asked.has(position) && !isSellable(after)) {
        shown.chosen.delete(position);
        say(`${shown.numbers[position]} was taken by someone else.`);
        drawBasket();
    }
    painter.redrawSeat(position, before === after ? undefined : performance.now());
    list.change(position);
}

/** Changes, for their rate. */
const changes = rateCounter(() => performance.now());
let lastFrame = NaN;
let retryAt = NaN;
let link = "connecting";

const STATES = {
    connecting: "Connecting",
    live: "Live",
    polling: "Live, by polling",
    waiting: "Broken off",
    resting: "Paused",
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
        if (shown.house)
            tellBanner(
                `${reason} Shown is how it was at ${timeOf(lastFrame)}. The page tries again by itself.`,
            );
        else tellEmpty(`${reason} The page tries again by itself.`);
    } else if (state !== "connecting") {
        tellBanner(unread);
    }
}

function tellBanner(text) {
    const banner = byId("banner");
    if (banner.textContent !== text) banner.textContent = text;
    banner.hidden = !text;
}

addEventListener("online", () => stream?.hurry());
let restTimer = null;

/** Nobody looks: the figures rest at once, the stream in a while. */
function unseen() {
    figures.rest();
    restTimer = setTimeout(() => stream?.rest(), REST_MS);
}

document.addEventListener("visibilitychange", () => {
    clearTimeout(restTimer);
    if (document.hidden) return unseen();
    figures.wake();
    stream?.wake();
    if (link === "waiting") stream?.hurry();
});

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
    return (
        eventIdOf(new URLSearchParams(location.search).get("event")) ??
        eventIdOf(document.body.dataset.event)
    );
}

const figures = repeat(readFigures, environment);
if (document.hidden) unseen();

drawLegend();
drawTheme();
setInterval(tick, 250);
show(asked());

// For the console, and for tests.
window.inventory = {
    shown,
    painter,
    clock,
    pick: (number) => choose(shown.positionOf.get(number)),
    get link() {
        return link;
    },
};
