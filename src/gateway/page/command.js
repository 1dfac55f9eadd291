// Commands: posted, repeated, awaited. What waits or asks comes in `env`, as in stream.js.

/** How long the server is asked to wait for an outcome, seconds, and how long the page asks on. */
const PREFER_SECONDS = 10;
const OUTCOME_MS = 60_000;

/**
 * Posts a command and waits for its outcome: `{ ok: true, result }` or `{ ok: false, code, … }`.
 *
 * A repetition has the same id, and the same id is the same command: where an answer is lost, it
 * asks again without doing it twice. `isUndecided` where nobody could say within a minute what became
 * of it: then it is for the caller to repeat the same.
 */
async function perform(command, env) {
    const begun = env.now();
    const body = JSON.stringify({ specversion: "1.0", ...command });
    const headers = {
        "content-type": "application/cloudevents+json",
        prefer: `wait=${PREFER_SECONDS}`,
    };
    let ask = () => env.fetch("/commands", { method: "POST", headers, body });
    for (let attempt = 0; ; attempt += 1) {
        let refused = { ok: false };
        try {
            const answer = await ask();
            if (answer.status === 200) {
                const result = await answer.json();
                if (result.type === "inventory.rejected.v1") return rejected(result, answer);
                if (result.status !== "running") return { ok: true, result };
                refused.retryAfter = 500;
            } else if (answer.status === 202) {
                const { command: key } = await answer.json();
                refused.retryAfter = 500;
                ask = () => env.fetch(`/commands?${new URLSearchParams(key)}`, {});
            } else {
                refused = await refusal(answer);
                if (![404, 429, 502, 503, 504].includes(refused.status) || isRejection(refused))
                    return refused;
            }
        } catch {
            // The answer is lost.
        }
        const wait = Math.max(refused.retryAfter ?? 0, RETRY_MIN_MS * Math.min(attempt + 1, 8));
        if (env.now() + wait - begun > OUTCOME_MS) return { ...refused, isUndecided: true };
        await env.sleep(wait);
    }
}

/** The result of a command that was looked for, as `refusal` tells what is refused at once. */
function rejected({ data: { rejection } }, { status }) {
    const { code, message: detail, seats = [] } = rejection;
    return { ok: false, status, code, detail, seats };
}

/** A 404 that is an outcome; the other says that the command is not there yet. */
function isRejection({ status, code }) {
    return status === 404 && code !== "COMMAND_NOT_FOUND";
}
