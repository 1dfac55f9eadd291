// What is asked for again and again, as the figures are. What waits comes in `env`, as in stream.js.

/** From an answer to the next question, and the longest wait where there is none, milliseconds. */
const REPEAT_MS = 5_000;
const REPEAT_MAX_MS = 60_000;

/**
 * Calls `ask` again and again; it resolves to `{ ok, retryAfter }`. The less it succeeds, the later
 * it is called again, and never at the same moment as by all other pages.
 */
function repeat(ask, env) {
    let failures = 0;
    let waiting = new AbortController();
    /** While nobody looks: what is awaited until somebody does, and what ends that. */
    let resting = null;
    let wake = () => {};

    (async () => {
        for (;;) {
            do await resting;
            while (resting);
            // Whoever hurries while it is asked has it asked again at once.
            waiting = new AbortController();
            const { ok, retryAfter = 0 } = await ask();
            failures = ok ? 0 : failures + 1;
            const grown = REPEAT_MS * 2 ** Math.min(failures, 10) * (0.75 + env.random() / 2);
            if (waiting.signal.aborted) continue;
            await env.sleep(Math.max(retryAfter, Math.min(REPEAT_MAX_MS, grown)), waiting.signal);
        }
    })();

    return {
        /** Asks now: there is reason to think that there is an answer. */
        hurry: () => waiting.abort(),
        /** Asks no more, until `wake`. */
        rest() {
            resting ??= new Promise((woken) => {
                wake = woken;
            });
        },
        wake() {
            resting = null;
            wake();
        },
    };
}
