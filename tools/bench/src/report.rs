//! The report of the bench.

use std::fmt::Write as _;

use super::Row;
use inventory_worker::report::{Page, Plot, escaped, number};

/// The report of the measured rows.
#[must_use]
pub fn html(rows: &[Row]) -> String {
    let mut page = Page::new("inventory-worker: bench");
    let met = rows.iter().filter(|row| row.met).count();
    page.paragraph(&format!("{met} of {} targets met.", rows.len()));
    let mut table = "<table><thead><tr><th>Row</th><th>Figure</th><th>Ceiling</th><th>Ratio</th>\
                     <th>Target</th><th></th></tr></thead><tbody>"
        .to_owned();
    for row in rows {
        table_row(&mut table, row);
    }
    table.push_str("</tbody></table>");
    page.html(&table);
    let bars: Vec<(String, f64)> = rows
        .iter()
        .filter_map(|row| Some((row.name.to_owned(), row.ratio?)))
        .filter(|(_, ratio)| ratio.is_finite())
        .collect();
    let title = "Ratio to the ceiling".to_owned();
    page.plot(&Plot::Bars { title, unit: "", bars });
    for plot in rows.iter().flat_map(|row| &row.plots) {
        page.plot(plot);
    }
    page.finish()
}

fn table_row(table: &mut String, row: &Row) {
    let (class, verdict) = if row.met { ("met", "met") } else { ("missed", "not met") };
    let ceiling = row.ceiling.map(number).unwrap_or_default();
    let ratio = row.ratio.map(|ratio| format!("{ratio:.3}")).unwrap_or_default();
    let _ = write!(
        // Writing to a text never fails.
        table,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;

    #[test]
    fn a_report_needs_nothing_but_itself_and_shows_every_row_and_plot() {
        let bars = vec![("<one>".to_owned(), 1.0), ("two".to_owned(), 2.0)];
        let times_ms = (0..1_000).map(f64::from).collect();
        let rows = [
            Row::new("hot_group", 190.0, "commands/s", Target::RatioAtLeast(0.9))
                .noting("a < b")
                .showing(Plot::Bars { title: "Speed".to_owned(), unit: "/s", bars }),
            Row::new("latency_p99", 12.0, "ms", Target::AtMost(250.0)).showing(
                Plot::Distribution { title: "Time".to_owned(), times_ms, bound_ms: Some(250.0) },
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
}
