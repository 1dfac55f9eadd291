// The stream of an event's changes: kept open, resumed where it broke off. Everything that waits or
// asks comes in `env`, so that node runs it in tests/page/stream.test.mjs.

/** Streams without a frame where a poll has an answer, until the page goes on by long polling. */
const BROKEN_MAX = 3;
/** How long it asks so before it tries a stream again, milliseconds. */
const POLLING_MS = 60_000;
/**
 * A stream says nothing in a quiet event; after this it is opened again, and where it never said
 * anything, a poll says first whether there was something: that costs two requests.
 */
const SILENCE_MS = 60_000;
/**
 * How long a new stream may take to its first frame, where one is to come at once, or where the
 * streams before it were held back.
 */
const FIRST_MS = 10_000;
/** A stream that lasted this long was well: the next try comes soon. */
const WELL_MS = 5_000;
/** How long a long poll waits at the server, seconds. */
const WAIT_SECONDS = 20;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 15_000;

/**
 * Follows `path` (`/events/{id}/changes`) until `stop`.
 *
 * - `onFrame(event, data)`: a `snapshot` or `delta`.
 * - `onState(state, detail)`: `connecting`, `live`, `polling`, `resting`, or `waiting` with `{ wait,
 *   code, status }`: milliseconds until the next try, and what the server said, if anything.
 * - `env`: `EventSource`, `fetch` (with the caller's headers), `ticket` (a stream's, or null where
 *   none is needed), `sleep(ms, signal)`, `now` (milliseconds), `random`.
 */
function follow(path, { onFrame, onState }, env) {
    let isStopped = false;
    let last = null;
    let broken = 0;
    let failures = 0;
    let pollingSince = null;
    /** Ends what is awaited now; the loop goes on with another. */
    let hurry = new AbortController();
    /** While nobody looks: what is awaited until somebody does, and what ends that. */
    let resting = null;
    let wake = () => {};

    const address = (more) => {
        const query = new URLSearchParams({ ...(last === null ? {} : { since: last }), ...more });
        return `${path}?${query}`.replace(/\?$/, "");
    };
    const take = (event, id, data) => {
        if (isStopped) return;
        if (id) last = id;
        onFrame(event, data);
    };
    const tell = (state, detail) => {
        if (!isStopped) onState(state, detail);
    };

    /** Ends with `{ frames, reason }`: whether any came, and why it ended. */
    function listen(ticket) {
        return new Promise((ended) => {
            const source = new env.EventSource(address(ticket === null ? {} : { ticket }));
            const ending = new AbortController();
            let frames = false;
            let heard = env.now();
            const end = (reason) => {
                ending.abort();
                source.close();
                ended({ frames, reason });
            };
            const hear = (name) => (message) => {
                let data;
                try {
                    data = JSON.parse(message.data);
                } catch {
                    return end("unreadable");
                }
                frames = true;
                broken = 0;
                heard = env.now();
                if (name === "bye") return end(data.reason);
                tell("live");
                return take(name, message.lastEventId, data);
            };
            for (const name of ["snapshot", "delta", "bye"])
                source.addEventListener(name, hear(name));
            source.addEventListener("open", () => tell("live"));
            source.addEventListener("error", () => end("broken"));
            hurry.signal.addEventListener("abort", () => end("hurried"), {
                signal: ending.signal,
            });
            // Without `last` a snapshot comes at once, unless something on the way holds it back.
            const isDoubtful = last === null || broken === BROKEN_MAX - 1;
            (async () => {
                while (!ending.signal.aborted) {
                    const silence = isDoubtful && !frames ? FIRST_MS : SILENCE_MS;
                    const left = silence - (env.now() - heard);
                    if (left > 0) await env.sleep(left, ending.signal);
                    else end("silent");
                }
            })();
        });
    }

    /** One long poll. Ends with `{ ok, status, code, retryAfter, frames }`. */
    async function poll(wait) {
        const { signal } = hurry;
        if (signal.aborted) return { ok: false };
        const ending = new AbortController();
        const abort = () => ending.abort();
        signal.addEventListener("abort", abort, { signal: ending.signal });
        env.sleep((wait + 10) * 1000, ending.signal).then(abort);
        try {
            const answer = await env.fetch(address({ wait }), { signal: ending.signal });
            const body = answer.ok ? await answer.json() : await refusal(answer);
            if (ending.signal.aborted) return { ok: false };
            if (!answer.ok) return body;
            let reason = null;
            let frames = 0;
            for (const frame of body.frames) {
                if (frame.event === "bye") {
                    reason = frame.data.reason;
                    continue;
                }
                frames += 1;
                take(frame.event, frame.id, frame.data);
                // It was stopped, or wants a snapshot: what follows is not for it.
                if (signal.aborted) return { ok: false };
            }
            if (body.id) last = body.id;
            failures = 0;
            return {
                ok: reason === null || reason === "age" || reason === "draining",
                code: reason,
                frames,
            };
        } catch {
            return { ok: false };
        } finally {
            abort();
        }
    }

    async function pause(detail) {
        if (hurry.signal.aborted) return;
        const grown = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(failures, 10));
        // Spread, so that all who lost the same server do not come back at once.
        const wait = Math.max(detail.retryAfter ?? 0, grown * (0.5 + env.random() / 2));
        failures += 1;
        tell("waiting", { ...detail, wait });
        await env.sleep(wait, hurry.signal);
    }

    async function byStream() {
        let ticket = null;
        try {
            ticket = await env.ticket();
        } catch (refused) {
            return pause(refused?.status ? refused : {});
        }
        if (hurry.signal.aborted) return undefined;
        const begun = env.now();
        const { frames, reason } = await listen(ticket);
        if (frames && env.now() - begun >= WELL_MS) failures = 0;
        const isSilent = reason === "silent";
        if (reason === "hurried" || (isSilent && frames)) return undefined;
        if (frames) return pause({ code: reason });
        // EventSource does not say what it was answered: a poll does, and brings what was missed.
        if (!isSilent) await pause({});
        const probe = await poll(0);
        if (!probe.ok) return pause(probe);
        // What the poll has to say, something held back. A quiet event has nothing to say, and its
        // next stream need not hurry.
        if (!isSilent || probe.frames) broken += 1;
        else broken = Math.min(broken, BROKEN_MAX - 2);
        return undefined;
    }

    async function byPolling() {
        if (pollingSince === null) {
            pollingSince = env.now();
            tell("polling");
        }
        const asked = await poll(failures ? 0 : WAIT_SECONDS);
        if (asked.ok) tell("polling");
        else await pause(asked);
        if (env.now() - pollingSince >= POLLING_MS) {
            pollingSince = null;
            broken = BROKEN_MAX - 1;
        }
    }

    (async () => {
        tell("connecting");
        while (!isStopped) {
            if (hurry.signal.aborted) hurry = new AbortController();
            if (resting) {
                tell("resting");
                await resting;
                continue;
            }
            if (env.EventSource && broken < BROKEN_MAX) await byStream();
            else await byPolling();
        }
    })();

    return {
        /** Tries again now: there is reason to think that it works, or that the stream is dead. */
        hurry: () => hurry.abort(),
        /** Forgets where it was, so that the next answer is a snapshot. */
        restart() {
            last = null;
            hurry.abort();
        },
        /** Gives the connection back: a browser has six to a server, and a server has not many more. */
        rest() {
            resting ??= new Promise((woken) => {
                wake = woken;
            });
            hurry.abort();
        },
        /** Goes on where it was. */
        wake() {
            resting = null;
            wake();
        },
        stop() {
            isStopped = true;
            hurry.abort();
            wake();
        },
    };
}

/** What a problem (RFC 9457) says: `{ ok: false, status, code, detail, seats, retryAfter }`. */
async function refusal(answer) {
    let problem = {};
    try {
        problem = await answer.json();
    } catch {
        // Not the gateway's: something on the way answered.
    }
    const { code, detail, seats = [] } = problem ?? {};
    const seconds = Number(answer.headers.get("retry-after"));
    const retryAfter = Number.isFinite(seconds) ? seconds * 1000 : 0;
    return { ok: false, status: answer.status, code, detail, seats, retryAfter };
}
