// The stream of an event's changes: kept open, resumed where it broke off. Everything that waits or
// asks comes in `env`, so that node runs it in tests/page/stream.test.mjs.

/** Streams without a frame where a poll has an answer, until the page goes on by long polling. */
const BROKEN_MAX = 3;
/** How long it asks so before it tries a stream again, milliseconds. */
const POLLING_MS = 60_000;
/** A stream says nothing in a quiet event; after this it is opened again, which costs one request. */
const SILENCE_MS = 60_000;
/** How long a new stream may take to its first frame. */
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
 * - `onState(state, detail)`: `connecting`, `live`, `polling`, or `waiting` with `{ wait, code,
 *   status }`: milliseconds until the next try, and what the server said, if it said anything.
 * - `env`: `EventSource`, `fetch` (with the caller's headers), `ticket` (a stream's, or null where
 *   none is needed), `sleep(ms, signal)`, `now` (milliseconds), `random`.
 */
function follow(path, { onFrame, onState }, env) {
  const stopped = new AbortController();
  let last = null;
  let broken = 0;
  let failures = 0;
  let pollingSince = null;
  let hurry = new AbortController();

  const address = (more) => {
    const query = new URLSearchParams({ ...(last === null ? {} : { since: last }), ...more });
    return query.size ? `${path}?${query}` : path;
  };
  const take = (event, id, data) => {
    if (id) last = id;
    onFrame(event, data);
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
        onState("live");
        return take(name, message.lastEventId, data);
      };
      for (const name of ["snapshot", "delta", "bye"]) source.addEventListener(name, hear(name));
      source.addEventListener("open", () => onState("live"));
      source.addEventListener("error", () => end("broken"));
      for (const signal of [stopped.signal, hurry.signal]) {
        signal.addEventListener("abort", () => end("hurried"), { signal: ending.signal });
      }
      (async () => {
        // Without `last` a snapshot comes at once, unless something on the way holds it back.
        await env.sleep(FIRST_MS, ending.signal);
        if (!frames && last === null) end("held back");
        while (!ending.signal.aborted) {
          await env.sleep(SILENCE_MS - (env.now() - heard), ending.signal);
          if (env.now() - heard >= SILENCE_MS) end("silent");
        }
      })();
    });
  }

  /** One long poll. Ends with `{ ok, status, code, retryAfter }`. */
  async function poll(wait) {
    const ending = new AbortController();
    const abort = () => ending.abort();
    for (const signal of [stopped.signal, hurry.signal]) {
      signal.addEventListener("abort", abort, { signal: ending.signal });
    }
    env.sleep((wait + 10) * 1000, ending.signal).then(abort);
    try {
      const answer = await env.fetch(address({ wait }), { signal: ending.signal });
      if (!answer.ok) return await refusal(answer);
      const { id, frames } = await answer.json();
      let reason = null;
      for (const frame of frames) {
        if (frame.event === "bye") reason = frame.data.reason;
        else take(frame.event, frame.id, frame.data);
      }
      if (id) last = id;
      failures = 0;
      return { ok: reason === null || reason === "age" || reason === "draining", code: reason };
    } catch {
      return { ok: false };
    } finally {
      abort();
    }
  }

  async function pause(detail) {
    const grown = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(failures, 10));
    // Spread, so that all who lost the same server do not come back at once.
    const wait = Math.max(detail.retryAfter ?? 0, grown * (0.5 + env.random() / 2));
    failures += 1;
    onState("waiting", { ...detail, wait });
    await env.sleep(wait, hurry.signal);
  }

  async function byStream() {
    let ticket = null;
    try {
      ticket = await env.ticket();
    } catch (refused) {
      return pause(refused?.status ? refused : {});
    }
    const begun = env.now();
    const { frames, reason } = await listen(ticket);
    if (frames && env.now() - begun >= WELL_MS) failures = 0;
    if (stopped.signal.aborted || reason === "hurried" || reason === "silent") return undefined;
    if (frames) return pause({ code: reason });
    // EventSource does not say what it was answered: a poll does, and brings what was missed.
    await pause({});
    const probe = await poll(0);
    if (!probe.ok) return pause(probe);
    broken += 1;
    return undefined;
  }

  async function byPolling() {
    if (pollingSince === null) {
      pollingSince = env.now();
      onState("polling");
    }
    const asked = await poll(failures ? 0 : WAIT_SECONDS);
    if (asked.ok) onState("polling");
    else await pause(asked);
    if (env.now() - pollingSince >= POLLING_MS) {
      pollingSince = null;
      broken = BROKEN_MAX - 1;
    }
  }

  (async () => {
    onState("connecting");
    while (!stopped.signal.aborted) {
      if (hurry.signal.aborted) hurry = new AbortController();
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
    stop() {
      stopped.abort();
      hurry.abort();
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

// Commands.

/** How long the server is asked to wait for an outcome, seconds, and how long the page asks on. */
const PREFER_SECONDS = 10;
const OUTCOME_MS = 60_000;

/**
 * Posts a command and waits for its outcome: `{ ok: true, result }` or `{ ok: false, code, … }`.
 *
 * A repetition has the same id, and the same id is the same command: where an answer is lost, it
 * asks again without doing it twice.
 */
async function perform(command, env) {
  const begun = env.now();
  const body = JSON.stringify({ specversion: "1.0", ...command });
  const headers = { "content-type": "application/cloudevents+json", prefer: `wait=${PREFER_SECONDS}` };
  let ask = () => env.fetch("/commands", { method: "POST", headers, body });
  for (let attempt = 0; ; attempt += 1) {
    let refused = { ok: false };
    try {
      const answer = await ask();
      if (answer.status === 200) {
        const result = await answer.json();
        if (result.status !== "running") return { ok: true, result };
        refused.retryAfter = 500;
      } else if (answer.status === 202) {
        const { command: key } = await answer.json();
        refused.retryAfter = 500;
        ask = () => env.fetch(`/commands?${new URLSearchParams(key)}`, {});
      } else {
        refused = await refusal(answer);
        if (![404, 429, 502, 503, 504].includes(refused.status) || isRejection(refused)) return refused;
      }
    } catch {
      // The answer is lost.
    }
    const wait = Math.max(refused.retryAfter ?? 0, RETRY_MIN_MS * Math.min(attempt + 1, 8));
    if (env.now() + wait - begun > OUTCOME_MS) return refused;
    await env.sleep(wait);
  }
}

/** A 404 that is an outcome; the other says that the command is not there yet. */
function isRejection({ status, code }) {
  return status === 404 && code !== "COMMAND_NOT_FOUND";
}
