//! Reports for people: one self-contained HTML file with its charts.

mod svg;

use std::fmt::Write as _;

const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1d2733}\
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}\
table{border-collapse:collapse;width:100%}th,td{padding:.35rem .6rem;border-bottom:1px solid #d8dee6;\
text-align:left;vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums;\
white-space:nowrap}.met{color:#1a7f4b}.missed{color:#b3261e;font-weight:600}.note{color:#5b6876;\
font-size:.85rem}p.note{margin:.2rem 0}svg{max-width:100%;height:auto}";

/// A chart.
#[derive(Clone, Debug)]
pub enum Plot {
    /// Named values as horizontal bars.
    Bars {
        /// The chart's title.
        title: String,
        /// The values' unit.
        unit: &'static str,
        /// Name and value of each bar.
        bars: Vec<(String, f64)>,
    },
    /// A cumulative distribution of times.
    Distribution {
        /// The chart's title.
        title: String,
        /// Milliseconds, in ascending order.
        times_ms: Vec<f64>,
        /// A limit to mark, milliseconds.
        bound_ms: Option<f64>,
    },
    /// Counts per second.
    Course {
        /// The chart's title.
        title: String,
        /// The counts' unit.
        unit: &'static str,
        /// One count per second, from the first second.
        a_second: Vec<f64>,
    },
}

impl Plot {
    fn title(&self) -> &str {
        match self {
            Self::Bars { title, .. }
            | Self::Distribution { title, .. }
            | Self::Course { title, .. } => title,
        }
    }
}

/// A page under construction.
#[derive(Debug)]
pub struct Page(String);

impl Page {
    /// An empty page with this title.
    #[must_use]
    pub fn new(title: &str) -> Self {
        let title = escaped(title);
        Self(format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>"
        ))
    }

    /// Adds a heading.
    pub fn heading(&mut self, text: &str) {
        // Writing to a string never fails.
        let _ = write!(self.0, "<h2>{}</h2>", escaped(text));
    }

    /// Adds a paragraph.
    pub fn paragraph(&mut self, text: &str) {
        let _ = write!(self.0, "<p>{}</p>", escaped(text));
    }

    /// Adds a table of texts. A column of numbers is aligned as numbers.
    pub fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        self.0.push_str("<table><thead><tr>");
        for cell in head {
            let _ = write!(self.0, "<th>{}</th>", escaped(cell));
        }
        self.0.push_str("</tr></thead><tbody>");
        for row in rows {
            self.0.push_str("<tr>");
            for cell in row {
                let class = if cell.starts_with(|c: char| c.is_ascii_digit()) {
                    " class=\"n\""
                } else {
                    ""
                };
                let _ = write!(self.0, "<td{class}>{}</td>", escaped(cell));
            }
            self.0.push_str("</tr>");
        }
        self.0.push_str("</tbody></table>");
    }

    /// Adds HTML unchanged: the caller must pass foreign text through [`escaped`].
    pub fn html(&mut self, html: &str) {
        self.0.push_str(html);
    }

    /// Adds a chart under its title.
    pub fn plot(&mut self, plot: &Plot) {
        self.heading(plot.title());
        self.0.push_str(&svg::plot(plot));
    }

    /// The complete HTML document.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.0.push_str("</body></html>\n");
        self.0
    }
}

/// The number with 0 to 2 decimal places, fewer for larger ones.
#[must_use]
pub fn number(value: f64) -> String {
    let size = value.abs();
    let places = if size >= 1_000.0 {
        0
    } else if size >= 100.0 {
        1
    } else {
        2
    };
    format!("{value:.places$}")
}

/// The text with HTML's special characters escaped.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The smallest of the sorted values that at least the given share of them does not exceed (nearest
/// rank); NaN if there are none.
#[must_use]
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    nearest_rank(sorted, share).unwrap_or(f64::NAN)
}

/// As [`quantile`], for any sorted items; `None` if there are none.
#[must_use]
pub fn nearest_rank<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts far below 2^52, 0 ≤ share ≤ 1"
    )]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_needs_nothing_but_itself_and_shows_text_as_text() {
        let mut page = Page::new("a <title>");
        page.table(&["what", "count"], &[vec!["<b>".to_owned(), "12".to_owned()]]);
        let a_second = vec![1.0, 5.0, 0.0];
        page.plot(&Plot::Course { title: "Speed".to_owned(), unit: "commands/s", a_second });
        page.plot(&Plot::Course { title: "None".to_owned(), unit: "x", a_second: Vec::new() });
        let times_ms = vec![1.0, 2.0];
        let title = "Times & more".to_owned();
        page.plot(&Plot::Distribution { title, times_ms, bound_ms: None });
        let html = page.finish();
        for shown in ["a &lt;title&gt;", "&lt;b&gt;", "Times &amp; more", "<td class=\"n\">12</td>"]
        {
            assert!(html.contains(shown), "{shown}");
        }
        for foreign in ["<script", "http://", "https://", "<link", "NaN", "inf"] {
            assert!(!html.contains(foreign), "{foreign}");
        }
        assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    }

    #[test]
    fn numbers_have_the_places_that_say_something() {
        let shown = [0.7, 48.123, 208.333, 1_000_000.4].map(number);
        assert_eq!(shown, ["0.70", "48.12", "208.3", "1000000"]);
    }

    #[test]
    fn a_quantile_is_the_value_that_the_share_does_not_pass() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(quantile(&values, 0.99), 198.0);
        assert_eq!(quantile(&values, 0.5), 100.0);
        assert_eq!(quantile(&values, 1.0), 200.0);
        assert!(quantile(&[], 0.99).is_nan());
    }
}
