//! The report: one HTML file with its pictures in it.

mod svg;

use std::fmt::Write as _;

use super::Row;

const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1d2733}\
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}\
table{border-collapse:collapse;width:100%}th,td{padding:.35rem .6rem;border-bottom:1px solid #d8dee6;\
text-align:left;vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums;\
white-space:nowrap}.met{color:#1a7f4b}.missed{color:#b3261e;font-weight:600}.note{color:#5b6876;\
font-size:.85rem}svg{max-width:100%;height:auto}";

/// The report on what was measured.
#[must_use]
pub fn html(rows: &[Row]) -> String {
    let mut page = String::new();
    let met = rows.iter().filter(|row| row.met).count();
    // Writing to a text never fails.
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>inventory-worker bench</title><style>{STYLE}</style></head><body>\
         <h1>inventory-worker bench</h1><p>{met} of {} targets met.</p>\
         <table><thead><tr><th>Row</th><th>Figure</th><th>Ceiling</th><th>Ratio</th>\
         <th>Target</th><th></th></tr></thead><tbody>",
        rows.len()
    );
    for row in rows {
        table_row(&mut page, row);
    }
    page.push_str("</tbody></table><h2>Ratio to the ceiling</h2>");
    let ratios: Vec<(String, f64)> = rows
        .iter()
        .filter_map(|row| Some((row.name.to_owned(), row.ratio?)))
        .filter(|(_, ratio)| ratio.is_finite())
        .collect();
    page.push_str(&svg::bars(&ratios, ""));
    for plot in rows.iter().flat_map(|row| &row.plots) {
        let _ = write!(page, "<h2>{}</h2>{}", escaped(plot.title()), svg::plot(plot));
    }
    page.push_str("</body></html>\n");
    page
}

fn table_row(page: &mut String, row: &Row) {
    let (class, verdict) = if row.met { ("met", "met") } else { ("missed", "not met") };
    let ceiling = row.ceiling.map(number).unwrap_or_default();
    let ratio = row.ratio.map(|ratio| format!("{ratio:.3}")).unwrap_or_default();
    let _ = write!(
        page,
        "<tr><td><code>{}</code><div class=\"note\">{}</div></td><td class=\"n\">{} {}</td>\
         <td class=\"n\">{ceiling}</td><td class=\"n\">{ratio}</td><td class=\"n\">{}</td>\
         <td class=\"{class}\">{verdict}</td></tr>",
        escaped(row.name),
        escaped(&row.note),
        number(row.figure),
        escaped(row.unit),
        escaped(&row.target.to_string()),
    );
}

/// As many places as say something.
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

/// Text that HTML takes for text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{Plot, Target};

    #[test]
    fn a_report_needs_nothing_but_itself_and_shows_every_row_and_plot() {
        let bars = vec![("<one>".to_owned(), 1.0), ("two".to_owned(), 2.0)];
        let times_ms = (0..1_000).map(f64::from).collect();
        let rows = [
            Row::new("hot_group", 190.0, "commands/s", Target::RatioAtLeast(0.9))
                .noting("a < b")
                .showing(Plot::Bars { title: "Speed".to_owned(), unit: "/s", bars }),
            Row::new("latency_p99", 12.0, "ms", Target::AtMost(250.0)).showing(
                Plot::Distribution { title: "Time".to_owned(), times_ms, bound_ms: 250.0 },
            ),
        ];
        let page = html(&rows);
        for shown in ["hot_group", "latency_p99", "a &lt; b", "&lt;one&gt;", "Speed", "Time"] {
            assert!(page.contains(shown), "{shown}");
        }
        for foreign in ["<script", "http://", "https://", "<link", "NaN", "inf"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    }

    #[test]
    fn numbers_have_the_places_that_say_something() {
        let shown = [0.7, 48.123, 208.333, 1_000_000.4].map(number);
        assert_eq!(shown, ["0.70", "48.12", "208.3", "1000000"]);
    }
}
