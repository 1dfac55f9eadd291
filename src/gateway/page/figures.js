// Counts: the legend for the eye, a sentence now and then for the ear. Figures of the deployment.

/** How often the counts are read out, milliseconds. */
const COUNTS_MS = 5_000;

function drawLegend() {
    const legend = byId("legend");
    if (!legend.children.length) legend.append(...[...KINDS.keys()].map(makeLegend));
    KINDS.forEach((_, kind) => {
        const figure = legend.children[kind].lastChild;
        const text = shown.tally ? grouped(shown.tally.all[kind]) : "–";
        if (figure.textContent !== text) figure.textContent = text;
    });
}

function makeLegend(kind) {
    const item = element("li");
    const sign = element("canvas", { "aria-hidden": "true", width: 28, height: 28 });
    item.append(sign, element("span", {}, KINDS[kind].word), element("b", {}, "–"));
    return item;
}

function drawSigns() {
    [...byId("legend").children].forEach(({ firstChild: sign }, kind) => {
        const context = sign.getContext("2d");
        context.clearRect(0, 0, 28, 28);
        drawLook(context, kind, 2, 2, 24, painter.colours);
    });
}

setInterval(() => {
    if (!shown.tally) return;
    const text = countsText(shown.tally.all);
    if (byId("counts").textContent !== text) byId("counts").textContent = text;
}, COUNTS_MS);

// Figures of the whole deployment.

const rates = [];
/** Whether the last question had an answer. */
let figuresOk = true;

/** Reads and shows the figures. Ends with `{ ok, retryAfter }`. */
async function readFigures() {
    let refused = { ok: false };
    try {
        const answer = await ask("/overview");
        if (answer.ok) {
            drawFigures(await answer.json(), changes.perSecond());
            byId("figures").hidden = false;
            // The server answers again: no need to wait for the next try.
            if (!figuresOk && link === "waiting") stream?.hurry();
            figuresOk = true;
            return { ok: true };
        }
        refused = await refusal(answer);
    } catch {
        // No answer, or none that can be read.
    }
    figuresOk = false;
    const isOld = byId("numbers").children.length > 0;
    byId("figures-age").textContent = `The figures cannot be read${isOld ? "; these are old" : ""}.`;
    if (refused.status === 404) {
        // There are none here. Whoever comes back to the page may find another gateway.
        byId("figures").hidden = true;
        figures.rest();
    }
    return refused;
}

function drawFigures(overview, changeRate) {
    clock.learn(overview.now);
    const { activity, sampled_at: sampled } = overview;
    drawTerms(byId("numbers"), figureRows(overview, changeRate, clock.now()));
    const rate = activity ? activity.commands_per_second : changeRate;
    if (Number.isFinite(rate)) drawTrend(rate);
    drawRejected(Object.entries(activity?.rejected ?? {}));
    const line = `The line is ${activity ? "commands" : "changes"} a second, of five minutes.`;
    byId("figures-age").textContent = sampled
        ? `As of ${timeOf(Date.parse(sampled))}. ${line}`
        : "";
}

/** Terms and their figures; elements stay, so that nothing flickers. */
function drawTerms(terms, rows) {
    while (terms.children.length > rows.length * 2) terms.lastChild.remove();
    rows.forEach(([name, value], index) => {
        if (!terms.children[index * 2]) terms.append(element("dt"), element("dd"));
        const [term, figure] = [terms.children[index * 2], terms.children[index * 2 + 1]];
        if (term.textContent !== name) term.textContent = name;
        if (figure.textContent !== value) figure.textContent = value;
    });
}

function drawTrend(rate) {
    rates.push(rate);
    if (rates.length > 60) rates.shift();
    const most = Math.max(...rates, 1);
    const point = (value, index) =>
        `${((index + 60 - rates.length) * 120) / 59},${(27 - (value / most) * 25).toFixed(1)}`;
    byId("trend").firstElementChild.setAttribute("points", rates.map(point).join(" "));
}

function drawRejected(rejected) {
    byId("rejected-heading").hidden = !rejected.length;
    const sorted = rejected.sort(([, a], [, b]) => b - a).slice(0, 8);
    const most = sorted[0]?.[1] ?? 1;
    byId("rejected").replaceChildren(
        ...sorted.map(([code, count]) => {
            const item = element("li");
            const bar = element("span", { class: "bar", "aria-hidden": "true" });
            bar.style.width = `${(100 * count) / most}%`;
            item.append(bar, element("span", {}, code), element("b", {}, grouped(count)));
            return item;
        }),
    );
}
