// Pointers and keys on the map.

/** CSS pixels of a seat that a finger, or a mouse, can mean; on smaller ones it zooms in. */
const TOUCH_MIN = 18;
const MOUSE_MIN = 7;

const stage = byId("stage");
const map = byId("map");
const fingers = new Map();
let press = null;

const placeOf = (event) => {
    const box = map.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
};

map.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    fingers.set(event.pointerId, placeOf(event));
    map.setPointerCapture(event.pointerId);
    press = fingers.size === 1 ? { ...placeOf(event), hasMoved: false } : null;
});

map.addEventListener("pointermove", (event) => {
    const at = placeOf(event);
    const before = fingers.get(event.pointerId);
    if (!before) return point(at);
    if (fingers.size === 2) {
        const [other] = [...fingers]
            .filter(([id]) => id !== event.pointerId)
            .map(([, place]) => place);
        const [was, is] = [
            Math.hypot(before.x - other.x, before.y - other.y),
            Math.hypot(at.x - other.x, at.y - other.y),
        ];
        pinch(was, is, { x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 });
        painter.pan((at.x - before.x) / 2, (at.y - before.y) / 2);
    } else if (press) {
        press.hasMoved ||= Math.hypot(at.x - press.x, at.y - press.y) > 6;
        if (press.hasMoved) painter.pan(at.x - before.x, at.y - before.y);
    }
    fingers.set(event.pointerId, at);
    return tip(-1);
});

/** The part of a pinch that is less than a pixel of a seat waits for the rest. */
let pinched = 1;

function pinch(was, is, middle) {
    pinched *= is / Math.max(1, was);
    if (Math.abs(painter.pitch * pinched - painter.pitch) < 1) return;
    painter.zoom(pinched, middle.x, middle.y);
    pinched = 1;
}

map.addEventListener("pointerup", (event) => {
    const isClick = press && !press.hasMoved && fingers.has(event.pointerId);
    fingers.delete(event.pointerId);
    press = null;
    pinched = 1;
    if (isClick) click(placeOf(event), event.pointerType === "touch" ? TOUCH_MIN : MOUSE_MIN);
});
map.addEventListener("pointercancel", (event) => fingers.delete(event.pointerId));
map.addEventListener("pointerleave", () => {
    tip(-1);
    painter.point(list.focused);
});

function click(at, smallest) {
    const position = painter.seatAt(at.x, at.y);
    if (painter.pitch / painter.ratio < smallest) {
        painter.zoom((smallest * 1.4 * painter.ratio) / painter.pitch, at.x, at.y);
    } else if (position >= 0) {
        list.reveal(position);
        if (isDemo) choose(position);
        else say(seatLabel(shown.house, shown.states, position, shown.mine(position)));
    }
}

function point(at) {
    const position = painter.seatAt(at.x, at.y);
    painter.point(position < 0 ? list.focused : position);
    tip(position);
}

function tip(position) {
    const box = byId("tip");
    box.hidden = position < 0 || !shown.house;
    if (box.hidden) return;
    box.textContent = seatLabel(shown.house, shown.states, position, shown.mine(position));
    const { x, y } = painter.centreOf(position);
    const room = stage.clientWidth - box.offsetWidth - 8;
    box.style.left = `${Math.max(8, Math.min(room, x - box.offsetWidth / 2))}px`;
    box.style.top = `${y > 60 ? y - painter.pitch / painter.ratio / 2 - box.offsetHeight - 8 : y + painter.pitch / painter.ratio + 4}px`;
}

map.addEventListener(
    "wheel",
    (event) => {
        event.preventDefault();
        const at = placeOf(event);
        const step = event.deltaMode === 0 ? event.deltaY / 100 : event.deltaY / 3;
        pinched *= Math.exp(-0.25 * Math.max(-3, Math.min(3, step)));
        if (Math.abs(painter.pitch * pinched - painter.pitch) >= 1) {
            painter.zoom(pinched, at.x, at.y);
            pinched = 1;
        }
    },
    { passive: false },
);

map.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const keys = {
        "+": () => painter.zoom(1.4),
        "=": () => painter.zoom(1.4),
        "-": () => painter.zoom(1 / 1.4),
        0: () => painter.showAll(),
        ArrowLeft: () => painter.pan(60, 0),
        ArrowRight: () => painter.pan(-60, 0),
        ArrowUp: () => painter.pan(0, 60),
        ArrowDown: () => painter.pan(0, -60),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
});

for (const [id, zoom] of [
    ["zoom-in", () => painter.zoom(1.4)],
    ["zoom-out", () => painter.zoom(1 / 1.4)],
    ["zoom-all", () => painter.showAll()],
]) {
    byId(id).addEventListener("click", zoom);
}
