// The map on its canvas. Below lies `map`, where a seat is drawn again only when it changes; above
// it `marks`, with what passes: the focus, and seats that changed just now.

/** How long a change is marked, and how often its mark is drawn, milliseconds. */
const MARK_MS = 900;
const MARK_STEP_MS = 45;
/** The most changes that are marked at once. */
const MARKS_MAX = 2000;
/** CSS pixels of the largest cell. */
const ZOOM_MAX = 48;
/** CSS pixels of a cell from which seats have their numbers. */
const NAMES_MIN = 22;

const stillness = matchMedia("(prefers-reduced-motion: reduce)");

class Painter {
    /** `source` has `house`, `states`, `tally` and `look(position)`, all as they are now. */
    constructor(map, marks, source) {
        Object.assign(this, { map, marks, source });
        this.context = map.getContext("2d", { alpha: false });
        this.overlay = marks.getContext("2d");
        this.changed = new Set();
        this.titles = new Set();
        this.recent = new Map();
        this.focus = -1;
        this.whole = false;
        this.asked = false;
        /** The house that is placed, and where everything is: with all of it shown, and now. */
        this.placed = null;
        this.fit = null;
        this.plan = null;
        /** Milliseconds that each of the last frames took to draw. */
        this.spent = [];
        this.takeColours();
        new ResizeObserver(() => this.resize()).observe(map);
        this.resize();
    }

    takeColours() {
        const style = getComputedStyle(document.documentElement);
        const colour = (name) => style.getPropertyValue(`--${name}`).trim();
        this.colours = Object.fromEntries(
            LOOKS.map(({ name }) => [name, { ink: colour(name), fill: colour(`${name}-fill`) }]),
        );
        for (const name of ["paper", "card", "text", "muted", "mark", "on-solid"])
            this.colours[name] = colour(name);
        this.sprites = null;
        this.redraw();
    }

    resize() {
        const ratio = window.devicePixelRatio || 1;
        const width = Math.round(this.map.clientWidth * ratio);
        const height = Math.round(this.map.clientHeight * ratio);
        if (width === this.width && height === this.height && ratio === this.ratio) return;
        const view = this.view();
        Object.assign(this, { ratio, width, height });
        for (const canvas of [this.map, this.marks]) Object.assign(canvas, { width, height });
        this.arrange(view);
    }

    /**
     * Places the house anew, or none. Who looks at a part of it looks at the same part afterwards:
     * at `view`, where the house still has that section.
     */
    arrange(view = this.view()) {
        const { house } = this.source;
        this.recent.clear();
        this.sprites = null;
        this.placed = this.fit = this.plan = null;
        this.redraw();
        if (!house || !this.width || !this.height) return;
        const margin = Math.round(4 * this.ratio);
        this.fit = place(
            house.sections,
            this.width - 2 * margin,
            this.height - 2 * margin,
            this.ratio,
        );
        Object.assign(this, { placed: house, plan: this.fit, pitch: this.fit.pitch });
        const block =
            view && this.fit.blocks[house.sections.findIndex(({ name }) => name === view.section)];
        if (!block) return this.showAll();
        this.moveTo(
            view.pitch * this.ratio,
            this.width / 2,
            this.height / 2,
            block.x + this.fit.label + view.x,
            block.y + this.fit.title + view.y,
        );
    }

    /**
     * What is in the middle: a section, the cells from its first seat, and the CSS pixels of one;
     * null where the whole house shows.
     */
    view() {
        if (this.isWhole) return null;
        const { blocks, label, title } = this.plan;
        const x = (this.width / 2 - this.left) / this.pitch;
        const y = (this.height / 2 - this.top) / this.pitch;
        const aside = (at, from, size) => Math.max(from - at, 0, at - from - size);
        const distances = blocks.map((block) =>
            Math.hypot(aside(x, block.x, block.width), aside(y, block.y, block.height)),
        );
        const nearest = distances.indexOf(Math.min(...distances));
        return {
            section: this.placed.sections[nearest].name,
            x: x - blocks[nearest].x - label,
            y: y - blocks[nearest].y - title,
            pitch: this.pitch / this.ratio,
        };
    }

    showAll() {
        if (!this.plan) return;
        this.moveTo(this.fit.pitch, 0, 0, 0, 0);
    }

    get isWhole() {
        return !this.plan || this.pitch <= this.fit.pitch;
    }

    /** Sets the cell to `pitch` device pixels and puts the cell at (`x`, `y`) at a place on the canvas. */
    moveTo(pitch, left, top, x, y) {
        const most = Math.max(this.fit.pitch, Math.floor(ZOOM_MAX * this.ratio));
        const next = Math.min(most, Math.max(Math.round(pitch), this.fit.pitch));
        const before = this.plan;
        if (next !== this.pitch) {
            this.sprites = null;
            this.plan = retitle(this.fit, titleCells(next, this.ratio));
        }
        this.pitch = next;
        this.left = this.bounded(left - x * next, this.plan.width * next, this.width);
        this.top = this.bounded(
            top - heightIn(before, this.plan, y) * next,
            this.plan.height * next,
            this.height,
        );
        // While all of the house shows, a finger scrolls the page; then it moves the house.
        this.map.style.touchAction = this.isWhole ? "pan-y" : "none";
        this.redraw();
    }

    /** A house that fits is in the middle; of a larger one, some always shows. */
    bounded(at, size, room) {
        const margin = Math.round(4 * this.ratio);
        if (size + 2 * margin <= room) return Math.round((room - size) / 2);
        return Math.round(Math.min(margin, Math.max(at, room - size - margin)));
    }

    /** Of a point in CSS pixels from the canvas's corner, the place in cells. */
    cells(x, y) {
        return {
            x: (x * this.ratio - this.left) / this.pitch,
            y: (y * this.ratio - this.top) / this.pitch,
        };
    }

    /** Zooms about a point in CSS pixels. */
    zoom(factor, x = this.width / 2 / this.ratio, y = this.height / 2 / this.ratio) {
        if (!this.plan) return;
        const at = this.cells(x, y);
        let pitch = this.pitch * factor;
        // The cell is whole: a small step must not round to none.
        if (factor > 1) pitch = Math.max(pitch, this.pitch + 1);
        if (factor < 1) pitch = Math.min(pitch, this.pitch - 1);
        this.moveTo(pitch, x * this.ratio, y * this.ratio, at.x, at.y);
    }

    /** Moves the house by CSS pixels. */
    pan(x, y) {
        if (this.plan)
            this.moveTo(this.pitch, this.left + x * this.ratio, this.top + y * this.ratio, 0, 0);
    }

    /** The seat at a point in CSS pixels, or -1. */
    seatAt(x, y) {
        const { house } = this.source;
        if (!house || !this.plan) return -1;
        const at = this.cells(x, y);
        return seatAt(house, this.plan, at.x, at.y);
    }

    /** The middle of a seat, in CSS pixels from the canvas's corner. */
    centreOf(position) {
        const cell = cellOf(this.source.house, this.plan, position);
        const at = (start, cells) => (start + (cells + 0.5) * this.pitch) / this.ratio;
        return { x: at(this.left, cell.x), y: at(this.top, cell.y) };
    }

    /** Moves as little as is needed to show a seat. */
    reveal(position) {
        if (!this.plan) return;
        const { x, y } = this.centreOf(position);
        const aside = (at, size) => Math.min(0, size - 30 - at) + Math.max(0, 30 - at);
        const [across, down] = [
            aside(x, this.width / this.ratio),
            aside(y, this.height / this.ratio),
        ];
        if (across || down) this.pan(across, down);
    }

    /** Marks a seat as the one that has the focus; -1 for none. */
    point(position) {
        if (this.focus === position) return;
        this.focus = position;
        this.ask();
    }

    /** Draws everything at the next frame. */
    redraw() {
        this.whole = true;
        this.ask();
    }

    /** Draws one seat at the next frame, and its section's title; `now` where it is to be marked. */
    redrawSeat(position, now) {
        this.changed.add(position);
        this.titles.add(this.source.house.lines[this.source.house.lineOf[position]].section);
        if (now !== undefined && !stillness.matches && this.recent.size < MARKS_MAX)
            this.recent.set(position, now);
        this.ask();
    }

    ask() {
        if (this.asked) return;
        this.asked = true;
        requestAnimationFrame((now) => {
            this.asked = false;
            const begun = performance.now();
            this.frame(now);
            this.spent.push(performance.now() - begun);
            if (this.spent.length > 600) this.spent.shift();
        });
    }

    frame(now) {
        if (!this.source.house || !this.plan) return this.blank();
        this.sprites ??= makeSprites(this.pitch, this.ratio, this.colours);
        if (this.whole) {
            this.drawAll();
        } else {
            for (const position of this.changed) this.drawSeat(position);
            for (const section of this.titles) this.drawTitle(section);
        }
        this.whole = false;
        this.changed.clear();
        this.titles.clear();
        this.drawMarks(now);
        if (this.recent.size) setTimeout(() => this.ask(), MARK_STEP_MS);
    }

    blank() {
        this.context.fillStyle = this.colours.paper;
        this.context.fillRect(0, 0, this.width, this.height);
        this.overlay.clearRect(0, 0, this.width, this.height);
        this.whole = false;
    }

    drawAll() {
        const {
            plan,
            pitch,
            context,
            source: { house },
        } = this;
        context.fillStyle = this.colours.paper;
        context.fillRect(0, 0, this.width, this.height);
        plan.blocks.forEach((block, index) => {
            const x = this.left + block.x * pitch;
            const y = this.top + block.y * pitch;
            if (
                x > this.width ||
                y > this.height ||
                x + block.width * pitch < 0 ||
                y + block.height * pitch < 0
            )
                return;
            context.fillStyle = this.colours.card;
            context.beginPath();
            context.roundRect(
                x,
                y,
                block.width * pitch,
                block.height * pitch,
                Math.min(pitch / 2, 6 * this.ratio),
            );
            context.fill();
            this.drawTitle(index);
            this.drawLines(house.sections[index], x + plan.label * pitch, y + plan.title * pitch);
        });
    }

    /** The lines and seats of a section that are on the canvas. */
    drawLines(section, left, top) {
        const { pitch, context } = this;
        const from = Math.max(0, Math.floor(-top / pitch));
        const to = Math.min(section.lines.length, Math.ceil((this.height - top) / pitch));
        const first = Math.max(0, Math.floor(-left / pitch));
        const last = Math.min(section.width, Math.ceil((this.width - left) / pitch));
        if (to <= from) return;
        if (pitch >= 9 * this.ratio) {
            for (let line = from; line < to; line += 1)
                this.drawRowName(section.lines[line].row, left, top + line * pitch);
        }
        if (last <= first) return;
        const image = this.copySeats(section, from, to, first, last);
        context.putImageData(image, left + first * pitch, top + from * pitch);
        if (pitch < NAMES_MIN * this.ratio) return;
        for (let line = from; line < to; line += 1) {
            section.lines[line].seats.slice(first, last).forEach((position, column) => {
                this.drawName(position, left + (first + column) * pitch, top + line * pitch);
            });
        }
    }

    /** Seats side by side as pixels: a call for each of 20,000 would take too long. */
    copySeats(section, from, to, first, last) {
        const {
            pitch,
            source,
            sprites: { pixels, card, width: stride },
        } = this;
        const width = (last - first) * pitch;
        const image = new ImageData(width, (to - from) * pitch);
        const target = new Uint32Array(image.data.buffer).fill(card);
        for (let line = from; line < to; line += 1) {
            const { seats } = section.lines[line];
            for (let column = first; column < Math.min(last, seats.length); column += 1) {
                let read = source.look(seats[column]) * pitch;
                let write = (line - from) * pitch * width + (column - first) * pitch;
                for (let row = 0; row < pitch; row += 1, read += stride, write += width) {
                    for (let pixel = 0; pixel < pitch; pixel += 1)
                        target[write + pixel] = pixels[read + pixel];
                }
            }
        }
        return image;
    }

    drawRowName(row, right, top) {
        if (row === null) return;
        const { context, pitch } = this;
        context.font = `${Math.round(Math.min(pitch * 0.62, 13 * this.ratio))}px system-ui, sans-serif`;
        const room = this.plan.label * pitch - pitch / 4;
        if (context.measureText(row).width > room) return;
        context.textAlign = "right";
        context.textBaseline = "middle";
        context.fillStyle = this.colours.muted;
        context.fillText(row, right - pitch / 4, top + pitch / 2);
    }

    drawSeat(position) {
        const cell = cellOf(this.source.house, this.plan, position);
        const x = this.left + cell.x * this.pitch;
        const y = this.top + cell.y * this.pitch;
        if (x > this.width || y > this.height || x + this.pitch < 0 || y + this.pitch < 0) return;
        const look = this.source.look(position);
        this.context.drawImage(
            this.sprites.canvas,
            look * this.pitch,
            0,
            this.pitch,
            this.pitch,
            x,
            y,
            this.pitch,
            this.pitch,
        );
        if (this.pitch >= NAMES_MIN * this.ratio) this.drawName(position, x, y);
    }

    /** A seat's number in it, where it has no letter. */
    drawName(position, x, y) {
        const { pitch, context } = this;
        const look = this.source.look(position);
        if (LOOKS[look].sign || look === BLOCKED) return;
        context.font = `${Math.round(pitch * 0.36)}px system-ui, sans-serif`;
        context.textAlign = "center";
        context.textBaseline = "middle";
        context.fillStyle = this.colours.text;
        context.fillText(
            this.source.house.nameOf[position],
            x + pitch / 2,
            y + pitch / 2 + pitch * 0.02,
            pitch * 0.75,
        );
    }

    /** A section's name and what is left of it, over its lines. */
    drawTitle(index) {
        const {
            plan,
            pitch,
            context,
            source: { house, tally },
        } = this;
        const block = plan.blocks[index];
        const section = house.sections[index];
        const height = plan.title * pitch;
        const x = this.left + block.x * pitch + Math.round(pitch / 2);
        const y = this.top + block.y * pitch + Math.ceil(Math.min(pitch / 2, 4 * this.ratio));
        const width = block.width * pitch - pitch;
        const size = Math.min(Math.max(height * 0.62, 9 * this.ratio), 20 * this.ratio);
        const name = sectionName(section);
        const left = grouped(
            sellableIn(tally, section.firstLine, section.firstLine + section.lines.length),
        );
        context.save();
        context.fillStyle = this.colours.card;
        context.fillRect(x, y, width, height - (y - this.top - block.y * pitch));
        context.beginPath();
        context.rect(x, y, width, height);
        context.clip();
        context.textBaseline = "middle";
        const middle = this.top + block.y * pitch + height / 2 + 1;
        const font = `${Math.round(size)}px system-ui, sans-serif`;
        context.font = font;
        const leftWidth = context.measureText(left).width;
        context.font = `600 ${font}`;
        // Without room for both, the name is worth more.
        const seen = Math.min(x + width, this.width) - Math.max(x, 0);
        const hasBoth = context.measureText(name).width + leftWidth + size <= seen;
        context.textAlign = "left";
        context.fillStyle = this.colours.text;
        // Where the block begins or ends outside, its title stays inside.
        const nameAt = Math.min(Math.max(x, Math.round(6 * this.ratio)), x + width);
        context.fillText(fitted(context, name, x + width - nameAt), nameAt, middle);
        if (hasBoth) {
            context.font = font;
            context.textAlign = "right";
            context.fillStyle = this.colours.muted;
            context.fillText(
                left,
                Math.max(Math.min(x + width, this.width - Math.round(6 * this.ratio)), x),
                middle,
            );
        }
        context.restore();
    }

    drawMarks(now) {
        const {
            overlay,
            pitch,
            source: { house },
        } = this;
        overlay.clearRect(0, 0, this.width, this.height);
        const corner = (position) => {
            const cell = cellOf(house, this.plan, position);
            return [this.left + cell.x * pitch, this.top + cell.y * pitch];
        };
        const wide = Math.max(1, Math.min(Math.round(pitch / 8), 2 * this.ratio));
        overlay.strokeStyle = this.colours.mark;
        overlay.lineWidth = wide;
        for (const [position, since] of this.recent) {
            const age = (now - since) / MARK_MS;
            if (age >= 1) {
                this.recent.delete(position);
                continue;
            }
            const [x, y] = corner(position);
            const grown = pitch * 0.45 * Math.max(0, age);
            overlay.globalAlpha = 1 - Math.max(0, age);
            overlay.strokeRect(x - grown / 2, y - grown / 2, pitch + grown, pitch + grown);
        }
        overlay.globalAlpha = 1;
        if (this.focus < 0 || this.focus >= house.lineOf.length) return;
        const [x, y] = corner(this.focus);
        overlay.lineWidth = Math.max(2, Math.round(2 * this.ratio));
        overlay.strokeStyle = this.colours.text;
        overlay.strokeRect(
            x - overlay.lineWidth / 2,
            y - overlay.lineWidth / 2,
            pitch + overlay.lineWidth,
            pitch + overlay.lineWidth,
        );
    }
}

/** As much of a text as has room, with an ellipsis where it is not all. */
function fitted(context, text, room) {
    if (context.measureText(text).width <= room) return text;
    let shown = text;
    while (shown && context.measureText(`${shown}…`).width > room) shown = shown.slice(0, -1);
    return shown ? `${shown}…` : "";
}
