//! Redis: locks, for speed alone, and the workers' figures.

use super::{Reader, Setting, parse};
use crate::adapters::redis::RedisUrl;

static REDIS_URL: Setting = Setting::new(
    "Redis",
    "redis-url",
    "REDIS_URL",
    "URL",
    "redis:// or rediss://; several, comma-separated, are nodes of one cluster. Unset: no locks, and no \
     figures of workers in the overview. \
     Prefer the variable for a URL with a password: a command line can be read by others",
)
.masked(shown)
.common();

/// As the adapter shows it, without user and password.
fn shown(text: &str) -> String {
    match text.parse::<RedisUrl>() {
        Ok(url) => url.to_string(),
        Err(_) => parse::HIDDEN.to_owned(),
    }
}

pub(super) fn settings() -> Vec<&'static Setting> {
    vec![&REDIS_URL]
}

/// `None` where there is none; an empty flag overrides the variable.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<RedisUrl> {
    let parse = |text: &str| match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|wrong| format!("the URL of a Redis ({wrong})")),
    };
    reader.optional(&REDIS_URL, parse).flatten()
}
