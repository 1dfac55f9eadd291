// The page's pure functions: the order of a house, where its seats are, their states, their words.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { definitions } from "./document.mjs";
import { faults } from "./schema.mjs";
import { StandIn, layoutOf, makeLayout } from "./stand-in.mjs";

process.env.TZ = "UTC";

const page = definitions(
  ["house.js", "states.js", "words.js"],
  [
    "AVAILABLE",
    "HELD",
    "ENDED",
    "BOOKED",
    "BLOCKED",
    "naturalOrder",
    "arrange",
    "shortNames",
    "pagesOf",
    "place",
    "pack",
    "retitle",
    "heightIn",
    "cellOf",
    "seatAt",
    "statesOf",
    "applyDelta",
    "applyChanges",
    "tallyOf",
    "recount",
    "sellableIn",
    "seatLabel",
    "lineName",
    "countsText",
    "sumOf",
    "countdown",
    "spanText",
    "figureRows",
    "rateCounter",
    "serverClock",
    "eventIdOf",
  ],
);

const seat = (number, section = null, row = null, more = {}) => ({ number, section, row, ...more });

function mapOf(layout, more = {}) {
  const count = layout.numbers.length;
  return {
    layout: "tag",
    status: "A".repeat(count),
    sellable: "1".repeat(count),
    versions: new Array(count).fill(1),
    holds: { from: null, after: [] },
    ...more,
  };
}

describe("order", () => {
  it("numbers_are_in_natural_order", () => {
    const sorted = ["A-10", "A-2", "B-1", "A-1", "a-3"].sort(page.naturalOrder);
    assert.deepEqual(sorted, ["A-1", "A-2", "a-3", "A-10", "B-1"]);
  });

  it("two_texts_that_differ_are_never_equal", () => {
    assert.notEqual(page.naturalOrder("A-1", "a-1"), 0);
    assert.notEqual(page.naturalOrder("A-01", "A-1"), 0);
    assert.equal(page.naturalOrder("A-1", "A-1"), 0);
  });

  it("sections_rows_and_seats_are_in_natural_order_and_nameless_ones_last", () => {
    const house = page.arrange(
      layoutOf([
        seat("x"),
        seat("10-1", "Block 10", "1"),
        seat("2-B-10", "Block 2", "B"),
        seat("2-B-9", "Block 2", "B"),
        seat("2-A-1", "Block 2", "A"),
        seat("2-0", "Block 2"),
      ]),
    );
    const names = house.sections.map(({ name, lines }) => [
      name,
      lines.map(({ row, names: seats }) => [row, seats]),
    ]);
    assert.deepEqual(names, [
      [
        "Block 2",
        [
          ["A", ["1"]],
          ["B", ["9", "10"]],
          [null, ["0"]],
        ],
      ],
      ["Block 10", [["1", ["1"]]]],
      [null, [[null, ["x"]]]],
    ]);
  });

  it("a_long_row_is_several_lines", () => {
    const house = page.arrange(
      layoutOf(Array.from({ length: 250 }, (_, index) => seat(`L-${index + 1}`))),
    );
    assert.deepEqual(
      house.lines.map(({ seats }) => seats.length),
      [100, 100, 50],
    );
    assert.equal(page.lineName(house, 1), "No row, 101 to 200");
  });

  it("short_names_stay_different", () => {
    assert.deepEqual(page.shortNames(["A-1", "A-10"]), ["1", "10"]);
    assert.deepEqual(page.shortNames(["A-1", "B-1"]), ["A-1", "B-1"]);
    assert.deepEqual(page.shortNames(["12", "13"]), ["12", "13"]);
    assert.deepEqual(page.shortNames(["A-1"]), ["1"]);
    assert.deepEqual(page.shortNames(["A-"]), ["A-"]);
    assert.deepEqual(page.shortNames(["A-1", "A-1-2"]), ["1", "1-2"]);
  });

  it("a_long_section_has_several_pages", () => {
    const rows = Array.from({ length: 450 }, (_, index) => seat(`${index}-1`, "S", String(index)));
    const pages = page.pagesOf(page.arrange(layoutOf(rows)));
    assert.deepEqual(
      pages.map(({ from, to }) => [from, to]),
      [
        [0, 200],
        [200, 400],
        [400, 450],
      ],
    );
  });
});

describe("place", () => {
  const layout = makeLayout(20_000);
  const house = page.arrange(layout);

  it("the_whole_house_fits_where_it_can_and_no_larger_cell_would", () => {
    const plan = page.place(house.sections, 1000, 800, 1);
    const fits = ({ width, height, pitch }) => width * pitch <= 1000 && height * pitch <= 800;
    assert.ok(fits(plan));
    const pitch = plan.pitch + 1;
    assert.ok(!fits(page.pack(house.sections, Math.floor(1000 / pitch), pitch, 1)));
  });

  it("blocks_do_not_overlap", () => {
    const { blocks } = page.place(house.sections, 390, 500, 1);
    blocks.forEach((a, index) => {
      for (const b of blocks.slice(index + 1)) {
        const apart =
          a.x + a.width <= b.x ||
          b.x + b.width <= a.x ||
          a.y + a.height <= b.y ||
          b.y + b.height <= a.y;
        assert.ok(apart);
      }
    });
  });

  it("every_seat_is_found_in_its_cell_and_nothing_between", () => {
    for (const [width, height] of [
      [1000, 800],
      [390, 500],
      [50, 50],
    ]) {
      const plan = page.place(house.sections, width, height, 1);
      for (const shown of [plan, page.retitle(plan, 1)]) {
        for (let position = 0; position < layout.numbers.length; position += 1) {
          const { x, y } = page.cellOf(house, shown, position);
          assert.equal(page.seatAt(house, shown, x + 0.5, y + 0.5), position);
        }
        assert.equal(page.seatAt(house, shown, -1, 0), -1);
        assert.equal(page.seatAt(house, shown, shown.width + 5, shown.height + 5), -1);
        assert.equal(page.seatAt(house, shown, shown.blocks[0].x + 0.5, shown.title + 0.5), -1);
      }
    }
  });

  it("a_height_is_at_the_same_seats_whatever_the_titles_take", () => {
    const plan = page.place(house.sections, 1000, 800, 1);
    const other = page.retitle(plan, 1);
    for (const position of [0, 777, 19_999]) {
      const [from, to] = [page.cellOf(house, plan, position), page.cellOf(house, other, position)];
      assert.equal(page.heightIn(plan, other, from.y), to.y);
      assert.equal(page.heightIn(other, plan, to.y), from.y);
    }
  });

  it("a_house_without_seats_has_a_plan", () => {
    const empty = page.arrange(layoutOf([]));
    const plan = page.place(empty.sections, 100, 100, 1);
    assert.equal(page.seatAt(empty, plan, 0, 0), -1);
  });
});

describe("states", () => {
  const layout = layoutOf([
    seat("A-1", "S", "A"),
    seat("A-2", "S", "A"),
    seat("A-3", "S", "A"),
    seat("B-1", "S", "B"),
  ]);
  const house = page.arrange(layout);
  const snapshot = () =>
    page.statesOf(
      mapOf(layout, {
        status: "RARX",
        sellable: "0110",
        versions: [3, 1, 7, 1],
        holds: { from: "2026-11-29T12:00:00Z", after: [90, 0] },
      }),
    );
  const delta = (...seats) => ({ layout: "tag", seats });
  const apply = (states, change) => {
    const calls = [];
    const applied = page.applyDelta(states, change, (...call) => calls.push(call));
    return { applied, calls };
  };

  it("a_snapshot_says_what_each_seat_is_and_until_when_it_is_held", () => {
    const states = snapshot();
    assert.deepEqual([...states.kinds], [page.HELD, page.AVAILABLE, page.ENDED, page.BLOCKED]);
    assert.deepEqual(
      [...states.until].map((end) => (Number.isNaN(end) ? null : new Date(end).toISOString())),
      ["2026-11-29T12:01:30.000Z", null, "2026-11-29T12:00:00.000Z", null],
    );
  });

  it("no_seat_goes_back_in_version", () => {
    const states = snapshot();
    const { applied, calls } = apply(states, delta([0, 2, "A", 1, null], [2, 8, "B", 0, null]));
    assert.equal(applied, true);
    assert.deepEqual(calls, [[2, page.ENDED, page.BOOKED]]);
    assert.equal(states.versions[0], 3);
  });

  it("a_hold_that_ran_out_comes_with_the_same_version", () => {
    const states = snapshot();
    const { calls } = apply(states, delta([0, 3, "R", 1, "2026-11-29T12:01:30Z"]));
    assert.deepEqual(calls, [[0, page.HELD, page.ENDED]]);
  });

  it("the_same_delta_twice_is_one_change", () => {
    const states = snapshot();
    const change = delta([1, 2, "R", 0, "2026-11-29T12:05:00Z"]);
    assert.equal(apply(states, change).calls.length, 1);
    assert.equal(apply(states, change).calls.length, 0);
  });

  it("an_extended_hold_is_a_change", () => {
    assert.equal(apply(snapshot(), delta([0, 4, "R", 0, "2026-11-29T13:00:00Z"])).calls.length, 1);
  });

  it("a_delta_for_another_layout_or_seat_changes_nothing", () => {
    const states = snapshot();
    const before = structuredClone(states);
    assert.deepEqual(apply(states, { ...delta([0, 9, "B", 0, null]), layout: "other" }), {
      applied: false,
      calls: [],
    });
    assert.deepEqual(apply(states, delta([0, 9, "B", 0, null], [4, 9, "B", 0, null])), {
      applied: false,
      calls: [],
    });
    assert.deepEqual(states, before);
  });

  it("an_own_result_shows_at_once_and_the_streams_copy_changes_nothing_more", () => {
    const states = snapshot();
    const positionOf = new Map(layout.numbers.map((number, position) => [number, position]));
    const calls = [];
    const changes = [
      {
        seat_number: "A-2",
        version: 2,
        status: "RESERVED",
        reserved_until: "2026-11-29T12:05:00Z",
      },
      { seat_number: "A-1", version: 3, status: "BOOKED" },
      { seat_number: "gone", version: 1, status: "BOOKED" },
    ];
    page.applyChanges(states, positionOf, changes, (...call) => calls.push(call));
    assert.deepEqual(calls, [[1, page.AVAILABLE, page.HELD]]);
    assert.equal(apply(states, delta([1, 2, "R", 0, "2026-11-29T12:05:00Z"])).calls.length, 0);
  });

  it("counts_follow_every_change", () => {
    const states = snapshot();
    const tally = page.tallyOf(house, states);
    assert.equal(page.sellableIn(tally, 0, 1), 2);
    page.applyDelta(states, delta([1, 2, "B", 0, null], [3, 2, "A", 1, null]), (...moved) =>
      page.recount(tally, house, ...moved),
    );
    assert.deepEqual(tally, page.tallyOf(house, states));
    assert.equal(page.countsText(tally.all), "1 available, 1 held, 1 hold ended, 1 booked.");
  });
});

describe("words", () => {
  const layout = layoutOf([
    seat("12-25", "S", "12", { price: "49.50", type: "folding" }),
    seat("12-26", "S", "12"),
    seat("x", "S"),
  ]);
  const house = page.arrange(layout);
  const states = page.statesOf(
    mapOf(layout, {
      status: "RAR",
      sellable: "010",
      holds: { from: "2026-11-29T10:42:10Z", after: [0, null] },
    }),
  );

  it("a_seat_says_its_row_number_and_state", () => {
    assert.equal(page.seatLabel(house, states, 0, ""), "row 12, seat 25, held until 10:42");
    assert.equal(
      page.seatLabel(house, states, 0, "held"),
      "row 12, seat 25, held by you until 10:42",
    );
    assert.equal(page.seatLabel(house, states, 1, "chosen"), "row 12, seat 26, available, chosen");
    assert.equal(page.seatLabel(house, states, 2, ""), "seat x, held");
  });

  it("what_can_be_taken_says_its_type_and_price", () => {
    const free = page.statesOf(mapOf(layout));
    assert.equal(page.seatLabel(house, free, 0, ""), "row 12, seat 25, available, folding, 49.50");
  });

  it("prices_are_added_as_decimals", () => {
    assert.equal(page.sumOf(["0.10", "0.2", "49"]), "49.30");
    assert.equal(page.sumOf(["5", "7"]), "12");
    assert.equal(page.sumOf(["5", undefined]), null);
    assert.equal(page.sumOf([]), "0");
  });

  it("a_countdown_never_goes_below_zero", () => {
    assert.equal(page.countdown(65_001), "1:06");
    assert.equal(page.countdown(3_600_000), "1:00:00");
    assert.equal(page.countdown(-5), "0:00");
  });

  it("only_numbers_that_an_event_can_have_are_taken", () => {
    assert.equal(page.eventIdOf(" 42 "), 42);
    for (const text of ["", "4.2", "-1", "x", "99999999999999999", null, undefined])
      assert.equal(page.eventIdOf(text), null);
  });
});

describe("figures", () => {
  const now = Date.parse("2026-11-29T12:00:00Z");

  it("what_was_read_has_a_row", () => {
    const overview = {
      queues: [{ name: "commands", waiting: 1200, in_flight: 3, oldest_age_seconds: 0.4 }],
      activity: { workers: 2, commands_per_second: 118, completed: {}, rejected: {} },
      oldest_hold: { reserved_until: "2026-11-29T12:00:42Z" },
    };
    assert.deepEqual(page.figureRows(overview, 7, now), [
      ["Commands a second", "118.0"],
      ["Workers", "2"],
      ["Seat changes a second", "7.0"],
      ["Queue commands", "1,200 waiting, 3 in flight, oldest 0.4 s"],
      ["Oldest hold", "ends in 42 s"],
    ]);
    const late = { oldest_hold: { reserved_until: "2026-11-29T11:55:00Z" } };
    assert.deepEqual(page.figureRows(late, 0, now)[1], [
      "Oldest hold",
      "ended 5 min ago, not yet given back",
    ]);
  });

  it("what_could_not_be_read_has_none", () => {
    const nothing = [["Seat changes a second", "0.0"]];
    assert.deepEqual(
      page.figureRows({ queues: null, activity: null, oldest_hold: null }, 0, now),
      nothing,
    );
    const unknown = {
      queues: [{ name: "commands", waiting: null, in_flight: null, oldest_age_seconds: null }],
      activity: { workers: 0, commands_per_second: null, completed: {}, rejected: {} },
      oldest_hold: { reserved_until: null },
    };
    assert.deepEqual(page.figureRows(unknown, 0, now), [["Workers", "0"], ...nothing]);
  });
});

describe("rate", () => {
  it("is_of_the_time_that_passed", () => {
    let local = 1000;
    const changes = page.rateCounter(() => local);
    const count = (number) => {
      for (let change = 0; change < number; change += 1) changes.add();
    };
    count(30);
    local += 6000;
    assert.equal(changes.perSecond(), 5);
    count(3);
    local += 1500;
    assert.equal(changes.perSecond(), 2);
    // What is measured for no time has no rate.
    count(1);
    assert.equal(changes.perSecond(), 1);
  });
});

describe("stand_in", () => {
  it("has_the_figures_that_the_gateway_has", () => {
    const standIn = new StandIn({ layout: makeLayout(500), rate: 200 });
    assert.deepEqual(faults("Overview", standIn.overview()), []);
    standIn.churn(300);
    standIn.reject("SEATS_UNAVAILABLE");
    const figures = standIn.overview();
    assert.deepEqual(faults("Overview", figures), []);
    assert.ok(figures.oldest_hold.reserved_until);
    const { queues, ...others } = figures;
    assert.notDeepEqual(faults("Overview", others), []);
    assert.notDeepEqual(faults("Overview", { ...figures, more: 1 }), []);
    assert.notDeepEqual(
      faults("Overview", { ...figures, queues: [{ ...queues[0], name: "expiries" }] }),
      [],
    );
  });
});

describe("clock", () => {
  it("the_fastest_answer_of_the_last_eight_tells_the_time", () => {
    let local = 1000;
    const clock = page.serverClock(() => local);
    clock.learn(new Date(50_000).toISOString());
    local += 3000;
    // This answer was two seconds on its way.
    clock.learn(new Date(51_000).toISOString());
    assert.equal(clock.now(), 53_000);
    for (let answer = 0; answer < 8; answer += 1) clock.learn(new Date(52_000).toISOString());
    assert.equal(clock.now(), 52_000);
    clock.learn("nonsense");
    assert.equal(clock.now(), 52_000);
  });
});
