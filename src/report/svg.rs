//! Charts as SVG.

use std::fmt::Write as _;

use super::{Plot, escaped, number};

const WIDTH: f64 = 900.0;
/// The width left of the bars, for their names.
const NAMES: f64 = 280.0;
/// The width right of the longest bar, for its value.
const FIGURES: f64 = 130.0;
const BAR: f64 = 26.0;
const CURVE_HEIGHT: f64 = 260.0;
const MARGIN: f64 = 46.0;
/// The number of points of a curve.
const POINTS: usize = 400;

const INK: &str = "#2f6fab";
const FAINT: &str = "#8a97a6";
const BOUND: &str = "#b3261e";

pub(super) fn plot(plot: &Plot) -> String {
    match plot {
        Plot::Bars { unit, bars: figures, .. } => bars(figures, unit),
        Plot::Distribution { times_ms, bound_ms, .. } => distribution(times_ms, *bound_ms),
        Plot::Course { unit, a_second, .. } => course(a_second, unit),
    }
}

fn open(height: f64) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
         font-family=\"system-ui,sans-serif\" font-size=\"13\">"
    )
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, colour: &str, words: &str) {
    let words = escaped(words);
    let _ = write!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{words}</text>"
    );
}

fn line(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str) {
    let _ = write!(
        svg,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>"
    );
}

/// Bars with their names and values.
pub(super) fn bars(figures: &[(String, f64)], unit: &str) -> String {
    let longest = figures.iter().map(|(_, figure)| *figure).fold(f64::MIN_POSITIVE, f64::max);
    let mut y = 0.0;
    let mut rows = String::new();
    for (name, figure) in figures {
        let width = (WIDTH - NAMES - FIGURES) * (figure / longest).max(0.0);
        text(&mut rows, (NAMES - 8.0, y + 18.0), "end", "#1d2733", name);
        let _ = write!(
            rows,
            "<rect x=\"{NAMES}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{INK}\"/>",
            y + 4.0,
            BAR - 8.0
        );
        let shown = format!("{} {unit}", number(*figure));
        text(&mut rows, (NAMES + width + 6.0, y + 18.0), "start", FAINT, shown.trim_end());
        y += BAR;
    }
    format!("{}{rows}</svg>", open(y.max(BAR)))
}

/// The share of all values that took no longer, over time.
fn distribution(sorted_ms: &[f64], bound_ms: Option<f64>) -> String {
    let mut svg = open(CURVE_HEIGHT + 2.0 * MARGIN);
    let last = sorted_ms.last().copied().unwrap_or_default();
    let longest = last.max(bound_ms.unwrap_or_default()).max(1.0) * 1.05;
    let x = |time: f64| MARGIN + (WIDTH - 2.0 * MARGIN) * time / longest;
    let y = |share: f64| MARGIN + CURVE_HEIGHT * (1.0 - share);
    for share in [0.0, 0.5, 0.9, 1.0] {
        line(&mut svg, (x(0.0), y(share)), (x(longest), y(share)), "#e3e8ee");
        text(
            &mut svg,
            (MARGIN - 6.0, y(share) + 4.0),
            "end",
            FAINT,
            &format!("{:.0} %", share * 100.0),
        );
    }
    for part in 0..=5_u8 {
        let time = longest / 1.05 * f64::from(part) / 5.0;
        text(&mut svg, (x(time), y(0.0) + 20.0), "middle", FAINT, &format!("{} ms", number(time)));
    }
    if let Some(bound_ms) = bound_ms {
        line(&mut svg, (x(bound_ms), y(0.0)), (x(bound_ms), y(1.0)), BOUND);
        text(&mut svg, (x(bound_ms) - 4.0, y(1.0) - 8.0), "end", BOUND, "bound on p99");
    }
    let mut path = String::new();
    let step = sorted_ms.len().div_ceil(POINTS).max(1);
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let share = |place: usize| (place + 1) as f64 / sorted_ms.len() as f64;
    let end = sorted_ms.len().checked_sub(1).map(|place| (place, last));
    for (place, time) in sorted_ms.iter().copied().enumerate().step_by(step).chain(end) {
        let command = if path.is_empty() { 'M' } else { 'L' };
        let _ = write!(path, "{command}{:.1} {:.1}", x(time), y(share(place)));
    }
    curve(&mut svg, &path);
    svg.push_str("</svg>");
    svg
}

/// The count of each second.
fn course(a_second: &[f64], unit: &str) -> String {
    let mut svg = open(CURVE_HEIGHT + 2.0 * MARGIN);
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let seconds = a_second.len().max(1) as f64;
    let most = a_second.iter().copied().fold(1.0, f64::max) * 1.05;
    let x = |second: f64| MARGIN + (WIDTH - 2.0 * MARGIN) * second / seconds;
    let y = |count: f64| MARGIN + CURVE_HEIGHT * (1.0 - count / most);
    for part in 0..=4_u8 {
        let share = f64::from(part) / 4.0;
        let count = most / 1.05 * share;
        line(&mut svg, (x(0.0), y(count)), (x(seconds), y(count)), "#e3e8ee");
        text(&mut svg, (MARGIN - 6.0, y(count) + 4.0), "end", FAINT, &format!("{count:.0}"));
        let second = seconds * share;
        text(&mut svg, (x(second), y(0.0) + 20.0), "middle", FAINT, &format!("{second:.0} s"));
    }
    text(&mut svg, (MARGIN, MARGIN - 16.0), "start", FAINT, unit);
    let mut path = String::new();
    let mut second = 0.0;
    for count in a_second {
        let command = if path.is_empty() { 'M' } else { 'L' };
        let _ = write!(path, "{command}{:.1} {:.1}", x(second), y(*count));
        second += 1.0;
        let _ = write!(path, "L{:.1} {:.1}", x(second), y(*count));
    }
    curve(&mut svg, &path);
    svg.push_str("</svg>");
    svg
}

fn curve(svg: &mut String, path: &str) {
    let _ = write!(svg, "<path d=\"{path}\" fill=\"none\" stroke=\"{INK}\" stroke-width=\"2\"/>");
}
