//! The page: one event's house as it fills, for people.
//!
//! One HTML document with its style and its script in it and nothing from outside; the policy that
//! is sent with it admits these two by their hashes and no others. Its sources are in `page/`, and
//! `tests/page/` runs them in a browser.

use axum::http::HeaderValue;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::view::Document;

const HTML: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPTS: [&str; 13] = [
    include_str!("page/house.js"),
    include_str!("page/states.js"),
    include_str!("page/words.js"),
    include_str!("page/stream.js"),
    include_str!("page/repeat.js"),
    include_str!("page/command.js"),
    include_str!("page/looks.js"),
    include_str!("page/draw.js"),
    include_str!("page/list.js"),
    include_str!("page/basket.js"),
    include_str!("page/figures.js"),
    include_str!("page/pointer.js"),
    include_str!("page/page.js"),
];

/// Where the document has its parts.
const STYLE_PLACE: &str = "/* style.css */";
const SCRIPT_PLACE: &str = "/* script.js */";
const ATTRIBUTES: &str = r#"data-demo="false" data-event="""#;

/// What differs between pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageSettings {
    /// Whether seats can be held, booked and given back on it.
    pub is_demo: bool,
    /// The event that it shows where its address names none.
    pub event_id: Option<u64>,
}

/// The page, ready to be sent.
#[derive(Clone, Debug)]
pub struct Page {
    /// The HTML.
    pub document: Document,
    /// The `Content-Security-Policy` under which it works.
    pub policy: HeaderValue,
}

impl Page {
    /// Joins the parts.
    #[must_use]
    pub fn new(settings: &PageSettings) -> Self {
        let script = format!("(() => {{\n\"use strict\";\n{}}})();\n", SCRIPTS.concat());
        let event = settings.event_id.map(|id| id.to_string()).unwrap_or_default();
        let attributes = format!(r#"data-demo="{}" data-event="{event}""#, settings.is_demo);
        let html = HTML
            .replacen(ATTRIBUTES, &attributes, 1)
            .replacen(STYLE_PLACE, STYLE, 1)
            .replacen(SCRIPT_PLACE, &script, 1);
        // What cannot be a header admits nothing.
        let policy = HeaderValue::try_from(policy(&script))
            .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
        Self { document: Document::of_text(html), policy }
    }
}

/// Style and script by their hashes, the gateway's own answers, the icon, and nothing else.
fn policy(script: &str) -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'",
        hash(script),
        hash(STYLE),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(settings: &PageSettings) -> String {
        String::from_utf8(Page::new(settings).document.plain.to_vec()).unwrap()
    }

    /// What stands between two texts.
    fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
        text.split_once(from).unwrap().1.split_once(to).unwrap().0
    }

    #[test]
    fn the_policy_admits_the_pages_own_style_and_script_and_no_others() {
        let page = Page::new(&PageSettings::default());
        let html = html(&PageSettings::default());
        for (open, close, source) in
            [("<style>", "</style>", "style-src"), ("<script>", "</script>", "script-src")]
        {
            assert_eq!(html.matches(open).count(), 1, "{open}");
            let hash = STANDARD.encode(Sha256::digest(between(&html, open, close)));
            let allowed = format!("{source} 'sha256-{hash}';");
            assert!(page.policy.to_str().unwrap().contains(&allowed), "{source}");
        }
        assert!(page.policy.to_str().unwrap().starts_with("default-src 'none'; "));
        assert!(!page.policy.to_str().unwrap().contains("unsafe"));
    }

    #[test]
    fn the_page_has_nothing_from_outside_and_no_part_is_missing() {
        let html = html(&PageSettings::default());
        for part in [STYLE_PLACE, SCRIPT_PLACE, "src=\"http", "href=\"http", "@import", " style=\""]
        {
            assert!(!html.contains(part), "{part}");
        }
        for part in [&["<!doctype html>"][..], &[STYLE], &SCRIPTS].concat() {
            assert!(html.contains(part), "{}", part.lines().next().unwrap_or_default());
        }
    }

    #[test]
    fn a_page_is_a_demonstration_only_where_it_is_told_to_be() {
        assert!(html(&PageSettings::default()).contains(ATTRIBUTES));
        let demo = html(&PageSettings { is_demo: true, event_id: Some(1) });
        assert!(demo.contains(r#"<body data-demo="true" data-event="1">"#));
    }
}
