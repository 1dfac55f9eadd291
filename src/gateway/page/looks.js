// How seats look: squares are others', circles one's own; the fuller, the less on sale. Shape and
// letter say what the colour says.

/** How a seat looks: its kind, or what it is to this window's user. */
const CHOSEN = 5;
const MINE_HELD = 6;
const MINE_BOOKED = 7;
const LOOKS = [
    ...KINDS.map(({ name, sign }) => ({ name, sign })),
    { name: "chosen", sign: "✓" },
    { name: "mine-held", sign: "H" },
    { name: "mine-booked", sign: "B" },
];

/** One seat of a look, at a place, `size` device pixels wide; squares are others', circles one's own. */
function drawLook(context, look, x, y, size, colours) {
    const { ink, fill } = colours[LOOKS[look].name];
    if (size < 6) return drawSmall(context, look, x, y, size, colours[LOOKS[look].name]);
    const line = Math.max(1, Math.round(size / 9));
    const inset = line / 2;
    const round = look >= CHOSEN;
    context.save();
    context.translate(x, y);
    context.lineWidth = line;
    context.strokeStyle = ink;
    context.fillStyle = fill;
    context.beginPath();
    if (round) context.arc(size / 2, size / 2, size / 2 - inset, 0, 2 * Math.PI);
    else if (size < 7) context.rect(inset, inset, size - line, size - line);
    else context.roundRect(inset, inset, size - line, size - line, size / 6);
    switch (look) {
        case AVAILABLE:
        case CHOSEN:
            context.fill();
            context.stroke();
            break;
        case HELD:
        case MINE_HELD:
            context.stroke();
            context.clip();
            context.beginPath();
            context.moveTo(size, 0);
            context.lineTo(size, size);
            context.lineTo(0, size);
            context.fill();
            break;
        case ENDED:
            context.setLineDash([Math.max(1, size / 6), Math.max(1, size / 8)]);
            context.stroke();
            break;
        case BOOKED:
        case MINE_BOOKED:
            context.fill();
            context.stroke();
            break;
        default:
            context.beginPath();
            context.moveTo(size * 0.2, size * 0.2);
            context.lineTo(size * 0.8, size * 0.8);
            context.moveTo(size * 0.8, size * 0.2);
            context.lineTo(size * 0.2, size * 0.8);
            context.stroke();
    }
    context.restore();
    return undefined;
}

/** The same where there is no room for outlines: the fuller, the less it is on sale. */
function drawSmall(context, look, x, y, size, { ink, fill }) {
    context.fillStyle = look >= CHOSEN ? ink : fill;
    if (look === HELD) {
        context.fillStyle = ink;
        context.beginPath();
        context.moveTo(x + size, y);
        context.lineTo(x + size, y + size);
        context.lineTo(x, y + size);
        context.fill();
    } else if (look === ENDED || look === BLOCKED) {
        context.fillStyle = ink;
        context.fillRect(x + Math.floor(size / 2), y + Math.floor(size / 2), 1, 1);
    } else {
        if (look === AVAILABLE) {
            context.fillStyle = ink;
            context.globalAlpha = 0.4;
        }
        context.fillRect(x, y, size, size);
        context.globalAlpha = 1;
    }
}

/** Every look once, in this size: a seat is then one copy. */
function makeSprites(pitch, ratio, colours) {
    const canvas = document.createElement("canvas");
    canvas.width = pitch * LOOKS.length + 1;
    canvas.height = pitch;
    const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    context.fillStyle = colours.card;
    context.fillRect(0, 0, canvas.width, pitch);
    const gap = pitch >= 20 ? Math.round(pitch / 7) : pitch >= 9 ? 2 : 1;
    const before = Math.floor(gap / 2);
    const size = pitch - gap;
    LOOKS.forEach(({ sign }, look) => {
        drawLook(context, look, look * pitch + before, before, size, colours);
        if (pitch < 15 * ratio || !sign || look === BLOCKED) return;
        const solid = look === BOOKED || look === MINE_BOOKED;
        context.font = `600 ${Math.round(size * 0.55)}px system-ui, sans-serif`;
        context.textAlign = "center";
        context.textBaseline = "middle";
        context.fillStyle = solid ? colours["on-solid"] : colours.text;
        context.fillText(sign, look * pitch + before + size / 2, before + size / 2 + size * 0.04);
    });
    const { data } = context.getImageData(0, 0, canvas.width, pitch);
    const pixels = new Uint32Array(data.buffer);
    // A column more than the looks, of nothing but the card: where a line has no seat.
    return { canvas, pixels, width: canvas.width, card: pixels[canvas.width - 1] };
}
