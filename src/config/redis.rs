//! Redis: locks, for speed alone.

use std::fmt;

use url::Url;

use super::{Reader, Setting, parse};

static REDIS_URL: Setting = Setting::new(
    "Redis",
    "redis-url",
    "REDIS_URL",
    "URL",
    "redis:// or rediss://; several, comma-separated, are the nodes of a cluster. Unset: no locks. \
     Prefer the variable for a URL with a password: others can read a command line",
)
.masked(parse::mask_urls);

/// The address of a Redis server. Shows itself without its user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(Url);

impl RedisUrl {
    /// The URL with its password: for the client alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&parse::mask_urls(self.0.as_str()))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `REDIS_URL`: at least one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisConfig {
    urls: Vec<RedisUrl>,
}

impl RedisConfig {
    /// The servers, at least one; several are nodes of one cluster.
    #[must_use]
    pub fn urls(&self) -> &[RedisUrl] {
        &self.urls
    }

    /// Whether the servers are nodes of a cluster.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        self.urls.len() > 1
    }
}

/// The servers, comma-separated, without passwords.
impl fmt::Display for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<String> = self.urls.iter().map(ToString::to_string).collect();
        f.write_str(&urls.join(","))
    }
}

impl std::str::FromStr for RedisConfig {
    type Err = String;

    /// Says what was expected; never shows the text.
    fn from_str(text: &str) -> Result<Self, String> {
        let urls = parse::list(text).map(server).collect::<Result<Vec<_>, _>>()?;
        let Some(first) = urls.first() else {
            return Err("at least one redis:// or rediss:// URL".to_owned());
        };
        if urls.iter().any(|url| url.scheme() != first.scheme()) {
            return Err("the nodes of a cluster all redis:// or all rediss://".to_owned());
        }
        if urls.len() > 1 && urls.iter().any(|url| !matches!(database(url), Some(0))) {
            return Err("no database number: a cluster has database 0 alone".to_owned());
        }
        Ok(Self { urls: urls.into_iter().map(RedisUrl).collect() })
    }
}

fn server(text: &str) -> Result<Url, String> {
    let wrong = || {
        "redis://[[user]:password@]host[:port][/database], or rediss:// for TLS; several separated \
         by commas for a cluster"
            .to_owned()
    };
    let url = Url::parse(text).map_err(|_| wrong())?;
    let known = matches!(url.scheme(), "redis" | "rediss");
    let has_host = url.host_str().is_some_and(|host| !host.is_empty());
    // A fragment such as #insecure would switch off the check of certificates unseen.
    if !known || !has_host || database(&url).is_none() || url.fragment().is_some() {
        return Err(wrong());
    }
    Ok(url)
}

/// The database the URL names, 0 where it names none, `None` where it is no number.
fn database(url: &Url) -> Option<u32> {
    match url.path().trim_start_matches('/') {
        "" => Some(0),
        number => number.parse().ok(),
    }
}

pub(super) fn settings() -> Vec<&'static Setting> {
    vec![&REDIS_URL]
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<RedisConfig> {
    // An empty flag overrides a variable: no Redis.
    reader
        .optional(&REDIS_URL, |text| match text {
            "" => Ok(None),
            text => text.parse().map(Some),
        })
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_servers_are_a_cluster() {
        let one: RedisConfig = "redis://127.0.0.1:6379/3".parse().unwrap();
        assert!(!one.is_cluster());
        let three: RedisConfig = "redis://a:1, redis://b:2 ,redis://c:3".parse().unwrap();
        assert!(three.is_cluster());
        assert_eq!(three.urls().len(), 3);
    }

    #[test]
    fn what_no_client_could_use_is_refused() {
        for wrong in [
            "",
            " , ",
            "localhost:6379",
            "http://a",
            "redis://",
            "redis://a/x",
            "rediss://a#insecure",
            "redis://a,rediss://b",
            "redis://a/1,redis://b/1",
        ] {
            assert!(wrong.parse::<RedisConfig>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_password_reaches_the_client_and_nobody_else() {
        let config: RedisConfig = "rediss://worker:s3cret@cache:6380".parse().unwrap();
        assert!(config.urls().iter().any(|url| url.expose().contains("s3cret")));
        assert_eq!(config.to_string(), "rediss://:***@cache:6380");
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}
