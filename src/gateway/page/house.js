// A house from its layout: in what order, and where, its seats are drawn. Pure functions, as are
// those of states.js and words.js: no document, no network. tests/page/house.test.mjs runs them.

/** The most seats of a line: a longer row is drawn, and read, as several lines. */
const LINE_SEATS = 100;
/** The most lines that the list shows at once: a longer section has several pages. */
const PAGE_LINES = 200;

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** Natural order: A-2 before A-10; null last. Never 0 for two texts that differ. */
function naturalOrder(a, b) {
    if (a === null || b === null) return (a === null) - (b === null);
    return collator.compare(a, b) || (a < b ? -1 : Number(a > b));
}

/**
 * The layout in the order in which it is drawn: sections, their lines, their seats.
 *
 * `layout` is the body of GET /events/{id}/layout. A seat is named by its position in it.
 */
function arrange(layout) {
    const count = layout.numbers.length;
    const text = (column, position) => column.values[column.of[position]] ?? null;
    const rowsOf = new Map();
    for (let position = 0; position < count; position += 1) {
        const section = text(layout.sections, position);
        const row = text(layout.rows, position);
        if (!rowsOf.has(section)) rowsOf.set(section, new Map());
        const rows = rowsOf.get(section);
        if (!rows.has(row)) rows.set(row, []);
        rows.get(row).push(position);
    }
    const house = {
        layout,
        sections: [],
        lines: [],
        lineOf: new Int32Array(count),
        columnOf: new Int32Array(count),
        nameOf: new Array(count),
    };
    for (const section of [...rowsOf.keys()].sort(naturalOrder)) {
        const rows = rowsOf.get(section);
        const lines = [...rows.keys()]
            .sort(naturalOrder)
            .flatMap((row) => linesOf(layout, row, rows.get(row)));
        addSection(house, section, lines);
    }
    return house;
}

function linesOf(layout, row, positions) {
    positions.sort((a, b) => naturalOrder(layout.numbers[a], layout.numbers[b]));
    const names = shortNames(positions.map((position) => layout.numbers[position]));
    const lines = [];
    for (let from = 0; from < positions.length; from += LINE_SEATS) {
        const to = from + LINE_SEATS;
        lines.push({
            row,
            seats: positions.slice(from, to),
            names: names.slice(from, to),
            of: positions.length,
        });
    }
    return lines;
}

function addSection(house, name, lines) {
    const section = { name, firstLine: house.lines.length, lines, width: 0, seats: 0 };
    lines.forEach((line) => {
        line.section = house.sections.length;
        line.seats.forEach((position, column) => {
            house.lineOf[position] = house.lines.length;
            house.columnOf[position] = column;
            house.nameOf[position] = line.names[column];
        });
        section.width = Math.max(section.width, line.seats.length);
        section.seats += line.seats.length;
        house.lines.push(line);
    });
    house.sections.push(section);
}

/** Numbers of one row without what they all begin with, up to a separator: are 1, 2. */
function shortNames(numbers) {
    let common = numbers[0];
    for (const number of numbers) {
        while (!number.startsWith(common)) common = common.slice(0, -1);
    }
    if (numbers.length === 1) common = common.slice(0, -1);
    const length = common.search(/[-./:_ ][^-./:_ ]*$/) + 1;
    return numbers.map((number) => number.slice(length));
}

/** The pages of the list: a section, or a part of a long one. */
function pagesOf(house) {
    return house.sections.flatMap((section, index) => {
        const pages = [];
        for (let from = 0; from < section.lines.length; from += PAGE_LINES) {
            const to = Math.min(from + PAGE_LINES, section.lines.length);
            pages.push({
                section: index,
                from: section.firstLine + from,
                to: section.firstLine + to,
            });
        }
        return pages;
    });
}

function sectionName(section) {
    return section.name ?? "No section";
}

// Where things are drawn, in cells: a cell is as wide and as high as a seat with its gap.

/** CSS pixels of the largest and the smallest cell when the whole house is shown. */
const FIT_MAX = 30;
const FIT_MIN = 1.5;
/** CSS pixels that a section's title needs. */
const TITLE = 15;

/**
 * Sections as blocks, left to right and then down, in the largest cells with which all of them fit
 * into `width` by `height` device pixels. `ratio` is device pixels per CSS pixel; `pitch` the cell
 * in device pixels, whole, so that every seat begins on a pixel.
 */
function place(sections, width, height, ratio) {
    const smallest = Math.max(2, Math.floor(FIT_MIN * ratio));
    for (let pitch = Math.floor(FIT_MAX * ratio); pitch > smallest; pitch -= 1) {
        const plan = pack(sections, Math.floor(width / pitch), pitch, ratio);
        if (plan.width * pitch <= width && plan.height * pitch <= height) return plan;
    }
    return pack(sections, Math.floor(width / smallest), smallest, ratio);
}

/** The cells that a section's title takes. */
function titleCells(pitch, ratio) {
    return Math.max(1, Math.ceil((TITLE * ratio) / pitch));
}

function pack(sections, width, pitch, ratio) {
    const title = titleCells(pitch, ratio);
    const label = pitch >= 10 * ratio ? 2 : 1;
    const plan = { pitch, title, label, width: 0, height: 0, shelves: [], blocks: [] };
    let shelf = null;
    for (const section of sections) {
        const block = {
            x: 0,
            y: 0,
            width: section.width + label + 1,
            height: section.lines.length + title + 1,
        };
        if (!shelf || shelf.width + 1 + block.width > width) {
            const y = shelf ? shelf.y + shelf.height + 1 : 0;
            shelf = { y, width: -1, height: 0, first: plan.blocks.length, blocks: [] };
            plan.shelves.push(shelf);
        }
        block.x = shelf.width + 1;
        block.y = shelf.y;
        shelf.width = block.x + block.width;
        shelf.height = Math.max(shelf.height, block.height);
        shelf.blocks.push(block);
        plan.blocks.push(block);
        plan.width = Math.max(plan.width, shelf.width);
        plan.height = shelf.y + shelf.height;
    }
    for (const { blocks, width: used } of plan.shelves) {
        const aside = Math.floor((plan.width - used) / 2);
        for (const block of blocks) block.x += aside;
    }
    return plan;
}

/** The same shelves with titles of another height. */
function retitle(plan, title) {
    const less = plan.title - title;
    const shelves = plan.shelves.map((shelf, index) => {
        const y = shelf.y - index * less;
        const blocks = shelf.blocks.map((block) => ({ ...block, y, height: block.height - less }));
        return { ...shelf, y, height: shelf.height - less, blocks };
    });
    const blocks = shelves.flatMap((shelf) => shelf.blocks);
    return { ...plan, title, shelves, blocks, height: plan.height - plan.shelves.length * less };
}

/** Where a height (in cells) of one plan is in another that differs in its titles. */
function heightIn(plan, other, y) {
    const index = lastBefore(plan.shelves, "y", y);
    if (index < 0) return y;
    const inside = y - plan.shelves[index].y;
    const below = inside - plan.title;
    return (
        other.shelves[index].y +
        (below < 0 ? (inside / plan.title) * other.title : below + other.title)
    );
}

/** The cell of a seat. */
function cellOf(house, plan, position) {
    const line = house.lineOf[position];
    const section = house.lines[line].section;
    const block = plan.blocks[section];
    return {
        x: block.x + plan.label + house.columnOf[position],
        y: block.y + plan.title + line - house.sections[section].firstLine,
    };
}

/** The last of `items`, sorted by `key`, that begins at or before `at`. */
function lastBefore(items, key, at) {
    let low = 0;
    let high = items.length;
    while (low < high) {
        const middle = (low + high) >> 1;
        if (items[middle][key] <= at) low = middle + 1;
        else high = middle;
    }
    return low - 1;
}

/** The seat whose cell has the point (in cells), or -1. */
function seatAt(house, plan, x, y) {
    const shelf = plan.shelves[lastBefore(plan.shelves, "y", y)];
    if (!shelf) return -1;
    const index = lastBefore(shelf.blocks, "x", x);
    const block = shelf.blocks[index];
    if (!block) return -1;
    const line = Math.floor(y - block.y - plan.title);
    const column = Math.floor(x - block.x - plan.label);
    return house.sections[shelf.first + index].lines[line]?.seats[column] ?? -1;
}
