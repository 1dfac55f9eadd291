//! `REDIS_URL`: where Redis is, checked before anything connects.

use std::{fmt, str::FromStr, time::Duration};

use redis::{
    ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion,
    io::tcp::{TcpSettings, socket2},
    parse_redis_url,
};

/// How long the kernel waits for a silent peer to acknowledge before it closes a connection. Linux
/// would otherwise wait for about a quarter of an hour (tcp(7), `tcp_retries2`).
const PEER_SILENCE_MAX: Duration = Duration::from_secs(5);

/// One Redis server, or several nodes of one cluster. Its text forms hide user and password.
#[derive(Clone)]
pub struct RedisUrl {
    nodes: Vec<ConnectionInfo>,
}

/// An address that cannot be used. The message says what to write instead, and repeats nothing of
/// the input, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{fix}", if *.of > 1 { format!("address {place} of {of}: ") } else { String::new() })]
pub struct InvalidRedisUrl {
    place: usize,
    of: usize,
    fix: &'static str,
}

const FORM: &str = "write it as redis://[user:password@]host[:port][/database], or rediss:// for \
                    TLS; in user and password, percent-encode what is not a letter or digit (a \
                    comma as %2C)";

impl RedisUrl {
    pub(super) fn nodes(&self) -> &[ConnectionInfo] {
        &self.nodes
    }

    /// Whether it names a cluster.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        self.nodes.len() > 1
    }

    /// Whether connections are encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.nodes.iter().any(is_tls)
    }
}

impl FromStr for RedisUrl {
    type Err = InvalidRedisUrl;

    /// `redis://` or `rediss://`; several, comma-separated, are nodes of one cluster.
    fn from_str(text: &str) -> Result<Self, InvalidRedisUrl> {
        let of = text.split(',').count();
        let mut nodes: Vec<ConnectionInfo> = Vec::with_capacity(of);
        for (index, address) in text.split(',').enumerate() {
            let checked = parse(address.trim()).and_then(|node| match nodes.first() {
                _ if of > 1 && node.redis_settings().db() != 0 => {
                    Err("a cluster has database 0 only: leave the database out")
                }
                Some(first) => same_access(first, &node).map(|()| node),
                None => Ok(node),
            });
            nodes.push(checked.map_err(|fix| InvalidRedisUrl { place: index + 1, of, fix })?);
        }
        Ok(Self { nodes })
    }
}

fn parse(address: &str) -> Result<ConnectionInfo, &'static str> {
    if address.is_empty() {
        return Err("there is no address: give one, or take away a comma too many");
    }
    let url = parse_redis_url(address).ok_or(FORM)?;
    if !matches!(url.scheme(), "redis" | "rediss") || url.host_str().is_none_or(str::is_empty) {
        return Err(FORM);
    }
    if url.fragment().is_some() {
        return Err("take away what follows #: certificates are always checked");
    }
    let protocols = ["2", "resp2", "3", "resp3"];
    if url.query_pairs().any(|(key, value)| key != "protocol" || !protocols.contains(&&*value)) {
        return Err("the only setting that may follow ? is protocol=resp2 or protocol=resp3");
    }
    let database = url.path().trim_start_matches('/');
    if !database.is_empty() && database.parse::<u16>().is_err() {
        return Err("the database, after the /, is a number such as 0");
    }
    let node = url.into_connection_info().map_err(|_| FORM)?;
    let keepalive = socket2::TcpKeepalive::new().with_time(PEER_SILENCE_MAX);
    let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(PEER_SILENCE_MAX);
    Ok(node.set_tcp_settings(tcp))
}

/// Whether both are reached in the same way, as nodes of one cluster must be.
fn same_access(one: &ConnectionInfo, other: &ConnectionInfo) -> Result<(), &'static str> {
    let (a, b) = (one.redis_settings(), other.redis_settings());
    if is_tls(one) != is_tls(other) {
        return Err("nodes of one cluster are all redis:// or all rediss://");
    }
    if a.username() != b.username() || a.password() != b.password() {
        return Err("nodes of one cluster have the same user and password: give them with each");
    }
    if a.protocol() != b.protocol() {
        return Err("nodes of one cluster have the same protocol");
    }
    Ok(())
}

fn is_tls(node: &ConnectionInfo) -> bool {
    matches!(node.addr(), ConnectionAddr::TcpTls { .. })
}

/// The URL as given, with `***` for user and password.
impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, node) in self.nodes.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            let settings = node.redis_settings();
            f.write_str(if is_tls(node) { "rediss://" } else { "redis://" })?;
            if settings.username().is_some() || settings.password().is_some() {
                f.write_str("***@")?;
            }
            match node.addr() {
                ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                    let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
                    write!(f, "{open}{host}{close}:{port}")?;
                }
                other => write!(f, "{other}")?,
            }
            if settings.db() != 0 {
                write!(f, "/{}", settings.db())?;
            }
            if settings.protocol() == ProtocolVersion::RESP3 {
                f.write_str("?protocol=resp3")?;
            }
        }
        Ok(())
    }
}

/// The same as [`fmt::Display`]: no user, no password.
impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<RedisUrl>().unwrap().to_string()
    }

    #[test]
    fn one_address_is_a_server_and_several_are_a_cluster() {
        let one: RedisUrl = "redis://127.0.0.1".parse().unwrap();
        assert!(!one.is_cluster() && !one.is_tls());
        assert_eq!(one.to_string(), "redis://127.0.0.1:6379");
        let three: RedisUrl = "rediss://a:1, rediss://b:2 ,rediss://c".parse().unwrap();
        assert!(three.is_cluster() && three.is_tls());
        assert_eq!(three.to_string(), "rediss://a:1,rediss://b:2,rediss://c:6379");
    }

    #[test]
    fn what_is_shown_names_the_place_and_no_secret() {
        assert_eq!(shown("redis://:s3cret@h:7/2"), "redis://***@h:7/2");
        assert_eq!(shown("rediss://user:s3cret@h"), "rediss://***@h:6379");
        // A password written where the user belongs.
        assert_eq!(shown("redis://s3cret@[::1]:7"), "redis://***@[::1]:7");
        assert_eq!(shown("redis://h/?protocol=resp3"), "redis://h:6379?protocol=resp3");
        let url: RedisUrl = "redis://user:s3cret@h,redis://user:s3cret@i".parse().unwrap();
        assert_eq!(format!("{url:?}"), "RedisUrl(redis://***@h:6379,redis://***@i:6379)");
    }

    #[test]
    fn a_percent_encoded_password_is_read_as_meant() {
        let url: RedisUrl = "redis://u%40x:a%2Cb%2F@h".parse().unwrap();
        let settings = url.nodes()[0].redis_settings();
        assert_eq!((settings.username(), settings.password()), (Some("u@x"), Some("a,b/")));
    }

    #[test]
    fn an_address_that_cannot_be_used_says_the_fix_and_no_secret() {
        let cases = [
            ("", "there is no address"),
            ("redis://a,", "address 2 of 2: there is no address"),
            ("localhost:6379", "write it as redis://"),
            ("http://h", "write it as redis://"),
            ("unix:///tmp/s", "write it as redis://"),
            ("redis://", "write it as redis://"),
            ("redis://u:s3c/ret@h", "write it as redis://"),
            ("redis://:s3,cret@h", "write it as redis://"),
            ("redis://h/s3cret", "the database"),
            ("redis://h/-1", "the database"),
            ("redis://h?protocol=s3cret", "protocol=resp2 or protocol=resp3"),
            ("redis://h?timeout=s3cret", "protocol=resp2 or protocol=resp3"),
            ("rediss://h/#insecure", "certificates are always checked"),
            ("redis://a/1,redis://b/1", "address 1 of 2: a cluster has database 0"),
            ("redis://a,rediss://b", "address 2 of 2: nodes of one cluster are all"),
            ("redis://:s3cret@a,redis://b", "address 2 of 2: nodes of one cluster have the same"),
            ("redis://a,redis://b?protocol=3", "address 2 of 2: nodes of one cluster have the"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<RedisUrl>().unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(said.contains(expected), "{text}: {said}");
            assert!(!said.contains("s3c"), "{text}: {said}");
        }
    }
}
