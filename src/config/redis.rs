//! Redis: locks and hints, for speed alone, and the workers' figures. The view may have one of its own,
//! as an eviction policy that suits it would evict locks.

use super::{Reader, Setting, parse};
use crate::adapters::redis::RedisUrl;

static REDIS_URL: Setting = Setting::new(
    "Redis",
    "redis-url",
    "REDIS_URL",
    "URL",
    "redis:// or rediss://; several, comma-separated, are nodes of one cluster. Unset: no locks, and \
     without INVENTORY_VIEW_REDIS_URL no hints and no figures of workers in the overview. \
     Prefer the variable for a URL with a password: a command line can be read by others",
)
.masked(shown)
.common();

static HINTS: Setting = Setting::new(
    "Redis",
    "hints",
    "INVENTORY_HINTS",
    "on|off",
    "Whether commits are announced to gateways, where there is a Redis. Without, gateways read the \
     pools they show every 2 to 30 s",
)
.or("on");

static VIEW_REDIS_URL: Setting = Setting::new(
    "Redis",
    "view-redis-url",
    "INVENTORY_VIEW_REDIS_URL",
    "URL",
    "The Redis of hints, of figures of workers and of what gateways share, where it is not that of \
     the locks, or is reached as another user. The same one for workers and gateways. Unset: REDIS_URL",
)
.masked(shown);

/// As the adapter shows it, without user and password.
fn shown(text: &str) -> String {
    match text.parse::<RedisUrl>() {
        Ok(url) => url.to_string(),
        Err(_) => parse::HIDDEN.to_owned(),
    }
}

pub(super) fn settings() -> Vec<&'static Setting> {
    vec![&REDIS_URL, &VIEW_REDIS_URL, &HINTS]
}

/// The gateway's settings.
pub(super) fn view_settings() -> Vec<&'static Setting> {
    vec![&REDIS_URL, &VIEW_REDIS_URL]
}

/// `None` where there is none; an empty flag overrides the variable.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<RedisUrl> {
    read_url(reader, &REDIS_URL)
}

/// The Redis that the view has of its own; `None` where it has that of the locks.
pub(super) fn read_view(reader: &mut Reader<'_>) -> Option<RedisUrl> {
    read_url(reader, &VIEW_REDIS_URL)
}

fn read_url(reader: &mut Reader<'_>, setting: &'static Setting) -> Option<RedisUrl> {
    let url = reader.optional(setting, |text| match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|wrong| format!("the URL of a Redis ({wrong})")),
    });
    url.flatten()
}

/// Whether commits are announced.
pub(super) fn read_hints(reader: &mut Reader<'_>) -> bool {
    let words = [("on", true), ("off", false)];
    reader.value(&HINTS, true, |text| parse::one_of(text, &words))
}
