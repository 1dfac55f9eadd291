// The seats by row, for keyboard and screen reader: a grid of the lines of one section, of which one
// is open and shows its seats. One cell has the focus, and the arrow keys move it.

class SeatList {
    /**
     * `source`: as the painter's, and `mine(position)`. `onChoose(position)` where seats can be
     * chosen, else null; `onFocus(position)`, -1 for none.
     */
    constructor(select, grid, source, { onChoose, onFocus }) {
        Object.assign(this, { select, grid, source, onChoose, onFocus });
        this.pages = [];
        this.page = null;
        /** The open line, and the cell of it that has the focus; -1 is the row's name. */
        this.open = -1;
        this.column = -1;
        this.rows = new Map();
        this.cells = new Map();
        this.stale = false;
        if (onChoose) grid.setAttribute("aria-multiselectable", "true");
        select.addEventListener("change", () => this.show(Number(select.value)));
        // The options are only made anew where nobody is looking at them.
        select.addEventListener("focus", () => this.nameOptions());
        grid.addEventListener("keydown", (event) => this.key(event));
        grid.addEventListener("click", (event) => this.click(event));
        grid.addEventListener("focusin", () => this.onFocus(this.position));
        grid.addEventListener("focusout", () => this.onFocus(-1));
    }

    /** The seat that has the focus, or -1. */
    get position() {
        return this.source.house?.lines[this.open]?.seats[this.column] ?? -1;
    }

    /** Takes a new house, or none; keeps the section's place, and the focus, where it can. */
    arrange() {
        const kept = Math.max(0, this.pages.indexOf(this.page));
        const hadFocus = this.grid.contains(document.activeElement);
        const { house } = this.source;
        this.pages = house ? pagesOf(house) : [];
        this.select.replaceChildren(...this.pages.map((_, index) => new Option("", String(index))));
        this.nameOptions();
        this.show(Math.min(kept, this.pages.length - 1));
        // What had the focus is another seat now, or none.
        this.onFocus(-1);
        if (hadFocus) this.cellAt()?.focus();
    }

    /** Takes new states of all seats of the same house. */
    refresh() {
        for (const position of this.cells.keys()) this.dress(position);
        for (const line of this.rows.keys()) this.countRow(line);
        if (document.activeElement !== this.select) this.nameOptions();
    }

    nameOptions() {
        const { house, tally } = this.source;
        if (!house) return;
        this.pages.forEach((page, index) => {
            const section = house.sections[page.section];
            const part =
                page.to - page.from < section.lines.length
                    ? `, ${lineName(house, page.from)} to ${lineName(house, page.to - 1)}`
                    : "";
            const text = `${sectionName(section)}${part} – ${grouped(sellableIn(tally, page.from, page.to))} left`;
            const option = this.select.options[index];
            if (option && option.textContent !== text) option.textContent = text;
        });
    }

    /** Shows a page of lines, all closed but the first. */
    show(index) {
        this.page = this.pages[index] ?? null;
        this.rows.clear();
        this.cells.clear();
        this.open = -1;
        this.column = -1;
        this.grid.setAttribute("aria-label", "Seats");
        if (!this.page) return this.grid.replaceChildren();
        this.select.value = String(index);
        const { house } = this.source;
        const section = house.sections[this.page.section];
        this.grid.setAttribute("aria-label", `Seats of ${sectionName(section)}`);
        this.grid.setAttribute("aria-rowcount", String(section.lines.length));
        const rows = [];
        for (let line = this.page.from; line < this.page.to; line += 1)
            rows.push(this.makeRow(line, section));
        this.grid.replaceChildren(...rows);
        this.openLine(this.page.from);
        return undefined;
    }

    makeRow(line, section) {
        const row = element("div", { role: "row", "aria-rowindex": line - section.firstLine + 1 });
        const name = element("div", { role: "rowheader", tabindex: -1, class: "row-name" });
        const left = element("span", { class: "row-left" });
        name.append(element("span", {}, lineName(this.source.house, line)), left);
        row.append(name);
        row.dataset.line = line;
        this.rows.set(line, { row, name, left });
        this.countRow(line);
        return row;
    }

    countRow(line) {
        const { left } = this.rows.get(line);
        const { seats } = this.source.house.lines[line];
        const text = `${sellableIn(this.source.tally, line, line + 1)} of ${seats.length} left`;
        if (left.textContent !== text) left.textContent = text;
    }

    openLine(line) {
        if (line === this.open) return;
        const before = this.rows.get(this.open);
        if (before) {
            before.row.replaceChildren(before.name);
            before.row.classList.remove("open");
        }
        this.cells.clear();
        this.open = line;
        const { row, name } = this.rows.get(line);
        row.classList.add("open");
        const { seats, names } = this.source.house.lines[line];
        const cells = seats.map((position, column) => {
            const cell = element(
                "div",
                { role: "gridcell", tabindex: -1, class: "seat" },
                names[column],
            );
            cell.dataset.column = column;
            this.cells.set(position, cell);
            this.dress(position);
            return cell;
        });
        row.replaceChildren(name, ...cells);
        this.column = Math.min(this.column, seats.length - 1);
        this.rove();
    }

    /** Makes the cell with the place of the focus the one that Tab reaches. */
    rove() {
        for (const cell of this.grid.querySelectorAll('[tabindex="0"]')) cell.tabIndex = -1;
        const cell = this.cellAt();
        if (cell) cell.tabIndex = 0;
    }

    cellAt() {
        return this.column < 0 ? this.rows.get(this.open)?.name : this.cells.get(this.position);
    }

    /** Moves the focus, if `focus`, or only its place. */
    go(line, column, focus = true) {
        this.openLine(line);
        this.column = Math.max(
            -1,
            Math.min(column, this.source.house.lines[line].seats.length - 1),
        );
        this.rove();
        const cell = this.cellAt();
        if (focus) cell.focus();
        cell.scrollIntoView({ block: "nearest" });
    }

    /** Shows a seat that was chosen elsewhere. */
    reveal(position) {
        const { house } = this.source;
        const line = house.lineOf[position];
        const index = this.pages.findIndex(({ from, to }) => from <= line && line < to);
        if (this.pages[index] !== this.page) this.show(index);
        this.go(line, house.columnOf[position], false);
    }

    key(event) {
        if (!this.page || event.altKey || event.metaKey) return;
        const { from, to } = this.page;
        const last = this.source.house.lines[this.open].seats.length - 1;
        const down = (by) => this.go(Math.max(from, Math.min(to - 1, this.open + by)), this.column);
        const moves = {
            ArrowLeft: () => this.go(this.open, this.column - 1),
            ArrowRight: () => this.go(this.open, this.column + 1),
            ArrowUp: () => down(-1),
            ArrowDown: () => down(1),
            PageUp: () => down(-10),
            PageDown: () => down(10),
            Home: () => (event.ctrlKey ? this.go(from, -1) : this.go(this.open, 0)),
            End: () => (event.ctrlKey ? this.go(to - 1, Infinity) : this.go(this.open, last)),
            Enter: () => this.choose(),
            " ": () => this.choose(),
        };
        const move = moves[event.key];
        if (!move) return;
        event.preventDefault();
        move();
    }

    choose() {
        if (this.column < 0) this.go(this.open, 0);
        else this.onChoose?.(this.position);
    }

    click(event) {
        const row = event.target.closest("[data-line]");
        if (!row) return;
        const cell = event.target.closest("[data-column]");
        this.go(Number(row.dataset.line), cell ? Number(cell.dataset.column) : -1);
        if (cell) this.onChoose?.(this.position);
    }

    /** A seat changed: its cell now, counts soon. */
    change(position) {
        if (this.cells.has(position)) this.dress(position);
        if (this.stale) return;
        this.stale = true;
        setTimeout(() => {
            this.stale = false;
            this.refresh();
        }, 500);
    }

    dress(position) {
        const cell = this.cells.get(position);
        const look = LOOKS[this.source.look(position)];
        cell.dataset.look = look.name;
        cell.dataset.sign = look.sign;
        cell.setAttribute(
            "aria-label",
            seatLabel(this.source.house, this.source.states, position, this.source.mine(position)),
        );
        if (this.onChoose) cell.setAttribute("aria-selected", String(look.name === "chosen"));
    }
}

/** A new element with attributes and a text. */
function element(name, attributes = {}, text = "") {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
}
