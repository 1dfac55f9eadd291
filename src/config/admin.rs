//! The admin port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{Reader, Section, Setting, parse};

const HEADING: &str = "Admin port";

/// Without its default, which differs between subcommands.
const ADMIN_HOST: Setting = Setting::new(
    HEADING,
    "admin-host",
    "ADMIN_HOST",
    "ADDRESS",
    "The address the admin port listens on",
);

static HOST: Setting = ADMIN_HOST.or("0.0.0.0");

static LOCAL_HOST: Setting = ADMIN_HOST.or("127.0.0.1");

pub(super) static PORT: Setting = Setting::new(
    HEADING,
    "admin-port",
    "ADMIN_PORT",
    "PORT",
    "The port of /health, /livez, /readyz and /metrics; 0 takes any free one",
)
.or("9090")
.common();

/// Where `/health`, `/livez`, `/readyz` and `/metrics` are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// `ADMIN_HOST`: the address to listen on.
    pub host: IpAddr,
    /// `ADMIN_PORT`: the port; 0 takes any free one.
    pub port: u16,
}

impl AdminConfig {
    /// The address to listen on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }
}

impl Section for AdminConfig {
    fn settings() -> Vec<&'static Setting> {
        vec![&HOST, &PORT]
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        read_with(reader, &HOST)
    }
}

/// The settings where the port listens on this machine alone by default.
pub(super) fn local_settings() -> Vec<&'static Setting> {
    vec![&LOCAL_HOST, &PORT]
}

/// Reads [`local_settings`].
pub(super) fn read_local(reader: &mut Reader<'_>) -> AdminConfig {
    read_with(reader, &LOCAL_HOST)
}

fn read_with(reader: &mut Reader<'_>, host: &'static Setting) -> AdminConfig {
    AdminConfig {
        host: reader.value(host, Ipv4Addr::LOCALHOST.into(), |text| {
            let wrong = "an IP address such as 0.0.0.0, 127.0.0.1 or ::";
            text.parse().map_err(|_| wrong.to_owned())
        }),
        port: reader.value(&PORT, 0, |text| {
            parse::whole(text, 0..=u16::MAX, "a port").map_err(|_| "a port from 0 to 65535".into())
        }),
    }
}
