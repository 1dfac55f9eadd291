// The stream's states and commands' repetitions, with a clock and a network of the test's own.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { definitions } from "./document.mjs";

const { follow, perform, repeat } = definitions(
  ["stream.js", "repeat.js", "command.js"],
  ["follow", "perform", "repeat"],
);

/** Lets what is ready run. */
const settle = async () => {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
};

function answerOf(status, body, headers = {}) {
  return { ok: status < 300, status, headers: new Headers(headers), json: async () => body };
}

/** A world in which time passes when the test says so. */
class World {
  constructor({ ticket = null } = {}) {
    this.time = 0;
    this.sleepers = [];
    this.sources = [];
    this.asked = [];
    this.answers = [];
    this.states = [];
    this.frames = [];
    const world = this;
    this.env = {
      EventSource: class extends EventTarget {
        constructor(url) {
          super();
          this.url = url;
          world.sources.push(this);
        }

        close() {
          this.isClosed = true;
        }
      },
      fetch: async (path, options) => {
        world.asked.push([path, options]);
        const answer = world.answers.shift();
        if (answer === undefined && world.hangs) {
          return new Promise((_, broke) =>
            options.signal.addEventListener("abort", () => broke(new Error("aborted"))),
          );
        }
        if (!answer) throw new Error("no answer");
        return answer;
      },
      ticket: async () => (typeof ticket === "function" ? ticket() : ticket),
      sleep: (wait, signal) =>
        new Promise((slept) => {
          if (signal?.aborted) return slept();
          const wake = () => {
            signal?.removeEventListener("abort", wake);
            slept();
          };
          world.sleepers.push({ at: world.time + wait, slept: wake });
          return signal?.addEventListener("abort", wake);
        }),
      now: () => this.time,
      random: () => 1,
    };
  }

  follow() {
    this.stream = follow(
      "/events/1/changes",
      {
        onFrame: (event, data) => this.frames.push([event, data]),
        onState: (state, detail) =>
          this.states.push(
            detail?.wait === undefined
              ? state
              : `${state} ${detail.wait} ${detail.code ?? ""}`.trim(),
          ),
      },
      this.env,
    );
    return settle();
  }

  get source() {
    return this.sources.at(-1);
  }

  async say(name, id, data) {
    const event = new Event(name);
    Object.assign(event, {
      lastEventId: id,
      data: typeof data === "string" ? data : JSON.stringify(data),
    });
    this.source.dispatchEvent(event);
    await settle();
  }

  async pass(milliseconds) {
    const end = this.time + milliseconds;
    for (;;) {
      const due = this.sleepers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.sleepers.splice(this.sleepers.indexOf(due), 1);
      this.time = Math.max(this.time, due.at);
      due.slept();
      await settle();
    }
    this.time = end;
  }
}

describe("stream", () => {
  it("a_stream_that_broke_is_resumed_where_it_was", async () => {
    const world = new World();
    await world.follow();
    await world.say("open");
    await world.say("snapshot", "e-1", { map: 1 });
    await world.say("delta", "e-2", { seats: [] });
    await world.pass(10_000);
    await world.say("error");
    assert.ok(world.source.isClosed);
    assert.deepEqual([world.states.at(-1), world.sources.length], ["waiting 500 broken", 1]);
    await world.pass(500);
    assert.equal(world.source.url, "/events/1/changes?since=e-2");
    await world.say("open");
    assert.equal(world.states.at(-1), "live");
    assert.deepEqual(
      world.frames.map(([event]) => event),
      ["snapshot", "delta"],
    );
  });

  it("tries_come_ever_later_while_the_server_is_gone", async () => {
    const world = new World();
    await world.follow();
    for (let failure = 0; failure < 8; failure += 1) {
      if (!world.source.isClosed) await world.say("error");
      await world.pass(20_000);
    }
    const waits = world.states
      .filter((state) => state.startsWith("waiting"))
      .map((state) => Number(state.split(" ")[1]));
    assert.deepEqual(waits.slice(0, 6), [500, 1000, 2000, 4000, 8000, 15_000]);
    assert.equal(waits.at(-1), 15_000);
    // It never had an answer, so there is no reason to think that streams alone do not pass.
    assert.ok(!world.states.includes("polling"));
  });

  it("where_streams_do_not_pass_it_asks_by_long_polling_and_tries_a_stream_again", async () => {
    const world = new World();
    world.hangs = true;
    await world.follow();
    for (let number = 1; number <= 3; number += 1) {
      world.answers.push(
        answerOf(200, {
          id: `e-${number}`,
          frames: [{ event: "delta", id: `e-${number}`, data: { number } }],
        }),
      );
      await world.say("error");
      await world.pass(1000);
    }
    assert.equal(world.states.at(-1), "polling");
    assert.equal(world.asked.at(-1)[0], "/events/1/changes?since=e-3&wait=20");
    assert.deepEqual(
      world.frames.map(([, { number }]) => number),
      [1, 2, 3],
    );
    assert.equal(world.sources.length, 3);
    // Polls that hang are given up, the first after half a minute, until a stream is tried again.
    await world.pass(75_000);
    assert.equal(world.sources.length, 4);
  });

  it("streams_that_are_held_back_on_their_way_are_noticed_and_given_up_for_polling", async () => {
    const world = new World();
    world.hangs = true;
    await world.follow();
    const poll = (number) =>
      answerOf(200, {
        id: `e-${number}`,
        frames: [{ event: "delta", id: `e-${number}`, data: { number } }],
      });
    // The first is to have a snapshot at once, the second may be quiet, the third is suspected.
    for (const [number, wait] of [
      [1, 10_000],
      [2, 60_000],
      [3, 10_000],
    ]) {
      await world.say("open");
      assert.equal(world.states.at(-1), "live");
      world.answers.push(poll(number));
      await world.pass(wait);
      assert.ok(world.sources[number - 1].isClosed);
      assert.equal(world.frames.at(-1)[1].number, number);
    }
    assert.equal(world.asked[0][0], "/events/1/changes?wait=0");
    assert.equal(world.states.at(-1), "polling");
    // A stream that is tried again has a short chance too.
    for (let second = 0; second < 90 && world.sources.length < 4; second += 1)
      await world.pass(1000);
    assert.ok(!world.source.isClosed);
    world.answers.push(poll(4));
    await world.pass(10_000);
    assert.deepEqual([world.states.at(-1), world.sources.length], ["polling", 4]);
    assert.equal(world.frames.at(-1)[1].number, 4);
  });

  it("streams_of_an_event_that_turns_out_to_be_quiet_are_suspected_no_longer", async () => {
    const world = new World();
    world.hangs = true;
    await world.follow();
    for (let number = 1; number <= 3; number += 1) {
      const frames = [{ event: "delta", id: `e-${number}`, data: { number } }];
      world.answers.push(answerOf(200, { id: `e-${number}`, frames }));
      await world.say("error");
      await world.pass(1000);
    }
    for (let second = 0; second < 90 && world.sources.length < 4; second += 1)
      await world.pass(1000);
    await world.say("open");
    // It says nothing in the short time that it has, and there was nothing to say.
    world.answers.push(answerOf(200, { id: "e-3", frames: [] }));
    await world.pass(10_000);
    assert.equal(world.sources.length, 5);
    await world.say("open");
    await world.pass(59_000);
    assert.ok(world.sources.length === 5 && !world.source.isClosed);
  });

  it("a_quiet_event_is_followed_by_streams", async () => {
    const world = new World();
    await world.follow();
    await world.say("snapshot", "e-1", {});
    await world.pass(60_000);
    for (let quiet = 0; quiet < 5; quiet += 1) {
      await world.say("open");
      world.answers.push(answerOf(200, { id: "e-1", frames: [] }));
      await world.pass(60_000);
    }
    assert.deepEqual(new Set(world.states), new Set(["connecting", "live"]));
    assert.equal(world.sources.length, 7);
  });

  it("a_silent_stream_is_opened_again_without_a_word", async () => {
    const world = new World();
    await world.follow();
    await world.say("open");
    await world.say("snapshot", "e-1", {});
    const before = world.states.length;
    await world.pass(61_000);
    assert.deepEqual([world.sources.length, world.source.url], [2, "/events/1/changes?since=e-1"]);
    assert.ok(world.sources[0].isClosed);
    assert.equal(world.states.length, before);
  });

  it("a_bye_says_why", async () => {
    const world = new World();
    await world.follow();
    await world.say("snapshot", "e-1", {});
    await world.say("bye", "", { reason: "draining" });
    assert.equal(world.states.at(-1), "waiting 500 draining");
  });

  it("a_server_that_ends_each_stream_at_once_is_not_asked_all_the_time", async () => {
    const world = new World();
    await world.follow();
    for (let round = 0; round < 6; round += 1) {
      await world.say("snapshot", "e-1", {});
      await world.say("error");
      assert.equal(world.states.at(-1), `waiting ${Math.min(15_000, 500 * 2 ** round)} broken`);
      await world.pass(Math.min(15_000, 500 * 2 ** round));
    }
  });

  it("every_stream_has_a_ticket_of_its_own", async () => {
    let tickets = 0;
    const world = new World({ ticket: () => `t${(tickets += 1)}` });
    await world.follow();
    await world.say("snapshot", "e-1", {});
    await world.say("error");
    await world.pass(500);
    assert.deepEqual(
      world.sources.map(({ url }) => url),
      ["/events/1/changes?ticket=t1", "/events/1/changes?since=e-1&ticket=t2"],
    );
  });

  it("a_refused_ticket_is_waited_for_as_the_server_says", async () => {
    const world = new World({
      ticket: () => {
        throw { status: 429, code: "RATE", retryAfter: 4000 };
      },
    });
    await world.follow();
    assert.equal(world.states.at(-1), "waiting 4000 RATE");
  });

  it("a_problem_that_a_stream_cannot_show_is_asked_for", async () => {
    const world = new World();
    await world.follow();
    world.answers.push(answerOf(404, { code: "EVENT_NOT_FOUND" }, { "retry-after": "3" }));
    await world.say("error");
    await world.pass(500);
    assert.equal(world.states.at(-1), "waiting 3000 EVENT_NOT_FOUND");
  });

  it("hurrying_tries_at_once_and_stopping_ends_it", async () => {
    const world = new World();
    await world.follow();
    await world.say("snapshot", "e-1", {});
    await world.say("error");
    world.stream.hurry();
    await settle();
    assert.equal(world.sources.length, 2);
    world.stream.stop();
    await settle();
    await world.pass(100_000);
    assert.deepEqual([world.sources.length, world.source.isClosed], [2, true]);
  });

  describe("what_is_under_way_when_it_is_stopped_or_rests", () => {
    /** Stops, or rests, while something is awaited; then that comes, and time passes. */
    async function interrupted(how, { world, begin, comes = () => {} }) {
      await begin(world);
      const before = [world.states.length, world.frames.length, world.asked.length];
      world.stream[how]();
      await settle();
      await comes(world);
      await settle();
      await world.pass(1_000_000);
      assert.deepEqual(world.states.slice(before[0]), how === "rest" ? ["resting"] : []);
      assert.deepEqual([world.frames.length, world.asked.length], before.slice(1));
      assert.ok(world.sources.every(({ isClosed }) => isClosed));
    }

    for (const how of ["stop", "rest"]) {
      it(`is_not_gone_on_with_after_a_pause_${how}`, async () => {
        const begin = async (world) => {
          await world.follow();
          await world.say("error");
          assert.equal(world.states.at(-1), "waiting 500");
        };
        await interrupted(how, { world: new World(), begin });
      });

      it(`is_not_gone_on_with_after_a_ticket_${how}`, async () => {
        for (const isRefused of [false, true]) {
          let give;
          const world = new World({
            ticket: () =>
              new Promise((given, refused) => {
                give = isRefused ? () => refused({ status: 503 }) : () => given("t");
              }),
          });
          await interrupted(how, { world, begin: () => world.follow(), comes: () => give() });
          assert.equal(world.sources.length, 0);
        }
      });

      it(`is_not_gone_on_with_after_a_poll_${how}`, async () => {
        const world = new World();
        let answer;
        // An answer that is on its way already comes whatever is aborted.
        world.env.fetch = (path) => {
          world.asked.push([path]);
          return new Promise((answered) => {
            answer = answered;
          });
        };
        const begin = async () => {
          await world.follow();
          await world.say("error");
          await world.pass(500);
          assert.equal(world.asked.length, 1);
        };
        const frame = { event: "delta", id: "e-9", data: {} };
        const comes = () => answer(answerOf(200, { id: "e-9", frames: [frame] }));
        await interrupted(how, { world, begin, comes });
      });
    }

    it("is_told_to_nobody_where_a_frame_of_a_poll_stopped_it", async () => {
      const world = new World();
      await world.follow();
      const frames = [1, 2].map((number) => ({ event: "delta", id: `e-${number}`, data: number }));
      world.answers.push(answerOf(200, { id: "e-2", frames }));
      world.frames.push = (frame) => {
        world.stream.stop();
        return Array.prototype.push.call(world.frames, frame);
      };
      await world.say("error");
      await world.pass(1000);
      assert.deepEqual(world.frames.map(([, data]) => data), [1]);
    });

    it("starts_anew_where_a_frame_of_a_poll_asked_for_that", async () => {
      const world = new World();
      await world.follow();
      const frames = [1, 2].map((number) => ({ event: "delta", id: `e-${number}`, data: number }));
      world.answers.push(answerOf(200, { id: "e-2", frames }));
      world.frames.push = (frame) => {
        world.stream.restart();
        return Array.prototype.push.call(world.frames, frame);
      };
      await world.say("error");
      await world.pass(500);
      assert.equal(world.source.url, "/events/1/changes");
      assert.ok(!world.states.includes("waiting 1000"));
    });
  });

  it("while_nobody_looks_it_has_no_connection_and_then_goes_on_where_it_was", async () => {
    const world = new World();
    await world.follow();
    await world.say("snapshot", "e-1", {});
    world.stream.rest();
    await settle();
    assert.deepEqual([world.states.at(-1), world.source.isClosed], ["resting", true]);
    await world.pass(1_000_000);
    assert.deepEqual([world.sources.length, world.asked.length], [1, 0]);
    world.stream.wake();
    await settle();
    assert.deepEqual([world.sources.length, world.source.url], [2, "/events/1/changes?since=e-1"]);
    world.stream.rest();
    await settle();
    world.stream.stop();
    await settle();
    assert.equal(world.sources.length, 2);
  });

  it("restarting_asks_for_a_snapshot", async () => {
    const world = new World();
    await world.follow();
    await world.say("snapshot", "e-1", {});
    world.stream.restart();
    await settle();
    assert.equal(world.source.url, "/events/1/changes");
  });

  it("a_frame_that_is_no_json_ends_the_stream_and_not_the_page", async () => {
    const world = new World();
    await world.follow();
    await world.say("snapshot", "e-1", "{");
    assert.equal(world.states.at(-1), "waiting 500");
    assert.deepEqual(world.frames, []);
  });
});

describe("figures", () => {
  /** Asks again and again, with these answers, and `{ ok: true }` after them. */
  function ask(world, ...answers) {
    const times = [];
    const asking = repeat(async () => {
      times.push(world.time);
      return answers.shift() ?? { ok: true };
    }, world.env);
    const waits = () => times.slice(1).map((time, index) => time - times[index]);
    return { asking, times, waits };
  }

  it("are_asked_for_every_five_seconds_and_not_by_all_at_once", async () => {
    const [early, late] = [new World(), new World()];
    early.env.random = () => 0;
    const [first, last] = [ask(early), ask(late)];
    for (const world of [early, late]) {
      await settle();
      await world.pass(60_000);
    }
    assert.deepEqual([first.times.length, last.times.length], [17, 10]);
    assert.deepEqual([first.waits()[0], last.waits()[0]], [3750, 6250]);
  });

  it("are_asked_for_ever_later_while_there_are_none", async () => {
    const world = new World();
    world.env.random = () => 0.5;
    const none = new Array(5).fill({ ok: false });
    const { waits } = ask(world, ...none, { ok: false, retryAfter: 90_000 });
    await settle();
    await world.pass(400_000);
    assert.deepEqual(
      waits().slice(0, 8),
      [10_000, 20_000, 40_000, 60_000, 60_000, 90_000, 5_000, 5_000],
    );
  });

  it("are_asked_for_again_at_once_where_somebody_hurries_meanwhile", async () => {
    const world = new World();
    let answer;
    let asked = 0;
    const asking = repeat(() => {
      asked += 1;
      return new Promise((answered) => {
        answer = answered;
      });
    }, world.env);
    await settle();
    asking.hurry();
    answer({ ok: false });
    await settle();
    assert.equal(asked, 2);
  });

  it("are_not_asked_for_while_nobody_looks", async () => {
    const world = new World();
    const { asking, times } = ask(world);
    asking.rest();
    await settle();
    await world.pass(100_000);
    assert.deepEqual(times, []);
    asking.wake();
    await settle();
    assert.deepEqual(times, [100_000]);
    asking.rest();
    await world.pass(100_000);
    asking.wake();
    await settle();
    assert.deepEqual(times, [100_000, 200_000]);
    asking.hurry();
    await settle();
    assert.equal(times.length, 3);
  });
});

describe("commands", () => {
  const command = { type: "inventory.reserve.v1", id: "c-1", data: {} };
  const result = { type: "inventory.reserved.v1", data: {} };

  async function run(world, ...answers) {
    world.answers.push(...answers);
    let done;
    perform(command, world.env).then((outcome) => {
      done = outcome;
    });
    await settle();
    await world.pass(100_000);
    return done;
  }

  it("an_answer_that_was_lost_is_asked_for_under_the_same_id", async () => {
    const world = new World();
    const outcome = await run(world, null, answerOf(200, result));
    assert.deepEqual(outcome, { ok: true, result });
    const bodies = world.asked.map(([, { body }]) => body);
    assert.equal(bodies.length, 2);
    assert.equal(bodies[0], bodies[1]);
  });

  it("a_command_that_is_not_decided_yet_is_looked_for", async () => {
    const world = new World();
    const outcome = await run(
      world,
      answerOf(202, { command: { source: "/s", id: "c-1" } }),
      answerOf(404, { code: "COMMAND_NOT_FOUND" }),
      answerOf(200, { status: "running" }),
      answerOf(200, result),
    );
    assert.equal(outcome.ok, true);
    assert.deepEqual(
      world.asked.map(([path]) => path),
      ["/commands", ...new Array(3).fill("/commands?source=%2Fs&id=c-1")],
    );
  });

  it("a_rejection_is_an_outcome", async () => {
    for (const [status, code] of [
      [409, "SEATS_UNAVAILABLE"],
      [404, "RESERVATION_NOT_FOUND"],
      [410, "RESERVATION_EXPIRED"],
    ]) {
      const world = new World();
      const outcome = await run(world, answerOf(status, { code, detail: "why", seats: ["A-1"] }));
      assert.deepEqual(
        [outcome.ok, outcome.code, outcome.seats, world.asked.length],
        [false, code, ["A-1"], 1],
      );
    }
  });

  it("a_rejection_that_is_looked_for_is_none_the_less_one", async () => {
    const world = new World();
    const rejection = { code: "SEATS_UNAVAILABLE", message: "why", seats: ["A-1"] };
    const outcome = await run(
      world,
      answerOf(202, { command: { source: "/s", id: "c-1" } }),
      answerOf(200, { type: "inventory.rejected.v1", data: { rejection } }),
    );
    assert.deepEqual(outcome, {
      ok: false,
      status: 200,
      code: "SEATS_UNAVAILABLE",
      detail: "why",
      seats: ["A-1"],
    });
  });

  it("it_gives_up_after_a_minute_and_does_not_know", async () => {
    const world = new World();
    const outcome = await run(world);
    assert.deepEqual(outcome, { ok: false, isUndecided: true });
    assert.ok(world.asked.length > 5 && world.time <= 160_000);
  });
});
