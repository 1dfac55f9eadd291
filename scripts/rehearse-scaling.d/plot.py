"""The picture of a run, as SVG: backlog, rates, pods, over the same seconds."""

from html import escape

WIDTH, LEFT, RIGHT = 960, 76, 24
TOP, PANEL, GAP = 64, 150, 62
INK, FAINT, GRID = "#1f2933", "#5b6770", "#dfe3e8"
WAITING, SENT, DECIDED = "#8fb8de", "#b07d2b", "#2f7d5b"
FORMULA, PODS, NEEDED = "#e39aa0", "#b3202c", "#1d5fa6"


def svg(run, summary):
    """The whole document."""
    samples = run["samples"]
    end_s = max(sample["s"] for sample in samples)
    paper = Paper(end_s)
    pods_most = max(max(s["formula"], s["pods"], s["needed"]) for s in samples)
    panels = [
        Panel(paper, 0, "messages", max(s["backlog"] for s in samples)),
        Panel(paper, 1, "commands/s", max(max(s["sent_per_s"], s["decided_per_s"]) for s in samples)),
        Panel(paper, 2, "pods", pods_most),
    ]
    height = TOP + 3 * PANEL + 2 * GAP + 52
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" font-family="Helvetica, Arial, DejaVu Sans, sans-serif" font-size="13">',
        "<title>Scaling rehearsal: backlog, rates and pods over time</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        *bands(paper, summary, height),
        *(part for panel in panels for part in panel.frame()),
        panels[0].area(samples, "backlog", WAITING),
        panels[1].line(samples, "sent_per_s", SENT, 1.5),
        panels[1].line(samples, "decided_per_s", DECIDED, 2),
        panels[2].steps(samples, "formula", FORMULA, 5),
        panels[2].steps(samples, "pods", PODS, 2),
        panels[2].steps(samples, "needed", NEEDED, 2, dashed=True),
        panels[0].legend("Backlog of the queue", [(WAITING, "waiting and in hand")]),
        panels[1].legend("Rates, over five seconds", [(SENT, "sent"), (DECIDED, "decided, all workers")]),
        panels[2].legend(
            f"Pods, {summary['least']} to {summary['most']}",
            [(FORMULA, "formula, at every second"), (PODS, "autoscaler, every 15 s"), (NEEDED, "needed")],
        ),
        text(LEFT + paper.width / 2, height - 12, "seconds", anchor="middle"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def bands(paper, summary, height):
    for number, phase in enumerate(summary["phases"]):
        left, right = paper.x(phase["begins_s"]), paper.x(phase["ends_s"])
        fill = ("#f3f6f9", "#e9eef3")[number % 2]
        yield rect(left, 34, right - left, height - 34 - 52, fill)
        yield text((left + right) / 2, 26, phase["name"], anchor="middle", weight="bold")


class Paper:
    def __init__(self, end_s):
        self.end_s, self.width = end_s, WIDTH - LEFT - RIGHT

    def x(self, at_s):
        return LEFT + self.width * at_s / self.end_s


class Panel:
    def __init__(self, paper, number, unit, most):
        self.paper, self.unit = paper, unit
        self.top = TOP + number * (PANEL + GAP)
        self.step = nice(most / 4)
        self.most = self.step * max(1, -(-most // self.step))

    def y(self, value):
        return self.top + PANEL * (1 - value / self.most)

    def frame(self):
        bottom, right = self.top + PANEL, LEFT + self.paper.width
        for n in range(int(self.most / self.step) + 1):
            y = self.y(n * self.step)
            yield rule(LEFT, y, right, y, GRID)
            yield text(LEFT - 8, y + 4, f"{n * self.step:,.0f}", anchor="end", fill=FAINT)
        step = nice(self.paper.end_s / 8)
        for n in range(int(self.paper.end_s / step) + 1):
            x = self.paper.x(n * step)
            yield rule(x, bottom, x, bottom + 5, FAINT)
            yield text(x, bottom + 19, f"{n * step:,.0f}", anchor="middle", fill=FAINT)
        yield rule(LEFT, bottom, right, bottom, INK)
        middle = self.top + PANEL / 2
        turned = f'transform="rotate(-90 18 {middle:.0f})"'
        yield text(18, middle, self.unit, anchor="middle", more=turned)

    def legend(self, title, entries):
        y, x = self.top - 9, LEFT
        parts = [text(x, y, title, weight="bold")]
        x += 8 * len(title) + 18
        for colour, name in entries:
            parts += [rect(x, y - 8, 18, 6, colour), text(x + 24, y, name)]
            x += 24 + 7 * len(name) + 22
        return "\n".join(parts)

    def points(self, samples, name):
        return [(self.paper.x(s["s"]), self.y(s[name])) for s in samples]

    def area(self, samples, name, colour):
        points, floor = self.points(samples, name), self.top + PANEL
        path = " ".join(f"L{x:.1f} {y:.1f}" for x, y in points)
        path = f"M{points[0][0]:.1f} {floor:.1f} {path} L{points[-1][0]:.1f} {floor:.1f} Z"
        return f'<path d="{path}" fill="{colour}" stroke="#4d86bb"/>'

    def line(self, samples, name, colour, width):
        path = " L".join(f"{x:.1f} {y:.1f}" for x, y in self.points(samples, name))
        return stroke(f"M{path}", colour, width)

    def steps(self, samples, name, colour, width, dashed=False):
        points = self.points(samples, name)
        path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
        for x, y in points[1:]:
            path += f" H{x:.1f} V{y:.1f}"
        return stroke(path, colour, width, ' stroke-dasharray="6 3"' if dashed else "")


def nice(step):
    """The next of 1, 2, 5, 10, 20, 50, …"""
    ten = 1
    while True:
        for factor in (1, 2, 5):
            if factor * ten >= step:
                return factor * ten
        ten *= 10


def rule(x1, y1, x2, y2, colour):
    return f'<path d="M{x1:.1f} {y1:.1f} L{x2:.1f} {y2:.1f}" stroke="{colour}"/>'


def rect(x, y, width, height, fill):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"/>'


def stroke(path, colour, width, more=""):
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{more}/>'


def text(x, y, words, anchor="start", fill=INK, weight="normal", more=""):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}" font-weight="{weight}" '
        f"{more}>{escape(words)}</text>"
    )
