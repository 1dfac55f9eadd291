//! Settings, from flags and environment.
//!
//! Each file holds one concern: its settings (flag, variable, default, unit, meaning) and the pure
//! values they become. All errors are collected and reported at once, and relations between settings
//! are checked at start.
//!
//! A flag wins over its variable; a variable that is empty counts as unset.

pub mod admin;
pub mod aws;
pub mod emf;
pub mod environment;
pub mod flags;
pub mod gateway;
pub mod issue;
pub mod logs;
mod parse;
pub mod reader;
mod redis;
pub mod setting;
pub mod traces;
pub mod unknown;
mod worker;

use crate::{adapters::redis::RedisUrl, sweeper};
pub use admin::AdminConfig;
pub use aws::{AwsConfig, Endpoints, QueueRef, TopicRef};
pub use emf::EmfConfig;
pub use environment::{Environment, ProcessEnvironment};
pub use flags::Flags;
pub use gateway::GatewayConfig;
pub use issue::{ConfigError, ConfigIssue};
pub use logs::{LogConfig, LogFormat};
pub use reader::{Effective, Origin, Reader};
pub use setting::Setting;
pub use traces::{TraceConfig, TraceExport};

/// A set of settings and the values they become.
pub trait Section: Sized {
    /// The settings, in the order `--help` and `check-config` show them.
    fn settings() -> Vec<&'static Setting>;

    /// Reads every setting and checks what must hold between them. What is wrong goes to the
    /// reader; the value returned then is never used.
    fn read(reader: &mut Reader<'_>) -> Self;
}

/// How a process that runs for long is watched.
#[derive(Clone, Debug)]
pub struct MonitoringConfig {
    /// The admin port.
    pub admin: AdminConfig,
    /// Metrics in the log, in CloudWatch's format.
    pub emf: EmfConfig,
    /// Where traces are exported.
    pub traces: TraceConfig,
}

impl Section for MonitoringConfig {
    fn settings() -> Vec<&'static Setting> {
        [AdminConfig::settings(), EmfConfig::settings(), TraceConfig::settings()].concat()
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            admin: AdminConfig::read(reader),
            emf: EmfConfig::read(reader),
            traces: TraceConfig::read(reader),
        }
    }
}

/// Everything `run` needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// How the worker works, with the operator's limits.
    pub worker: crate::worker::Settings,
    /// How the sweeper works.
    pub sweeper: sweeper::Settings,
    /// `INVENTORY_NO_SWEEPER`: ended holds are left to other workers.
    pub no_sweeper: bool,
    /// Queues, topic and tables.
    pub aws: AwsConfig,
    /// Locks; `None` means none are taken.
    pub redis: Option<RedisUrl>,
    /// `INVENTORY_VIEW_REDIS_URL`: the Redis that the gateways' view has of its own; `None` where it
    /// has that of the locks. See [`Self::redis_of_view`].
    pub view_redis: Option<RedisUrl>,
    /// `INVENTORY_HINTS`: whether commits are announced, where there is a Redis.
    pub hints: bool,
    /// Admin port, metrics and traces.
    pub monitoring: MonitoringConfig,
}

impl Config {
    /// Where commits are announced and the workers' totals are; `None` means nowhere.
    #[must_use]
    pub fn redis_of_view(&self) -> Option<&RedisUrl> {
        self.view_redis.as_ref().or(self.redis.as_ref())
    }
}

impl Section for Config {
    fn settings() -> Vec<&'static Setting> {
        [
            AwsConfig::settings(),
            redis::settings(),
            crate::worker::Settings::settings(),
            sweeper::Settings::settings(),
            worker::no_sweeper_settings(),
            MonitoringConfig::settings(),
        ]
        .concat()
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        let config = Self {
            aws: AwsConfig::read(reader),
            redis: redis::read(reader),
            view_redis: redis::read_view(reader),
            hints: redis::read_hints(reader),
            worker: Section::read(reader),
            sweeper: Section::read(reader),
            no_sweeper: worker::read_no_sweeper(reader),
            monitoring: MonitoringConfig::read(reader),
        };
        worker::check_room_for_pollers(&config.worker, &config.aws, reader);
        config
    }
}

/// What `serve` needs.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// Queues, topic and tables.
    pub aws: AwsConfig,
    /// Where workers announce what they commit and put their totals; `None` means nowhere.
    pub redis: Option<RedisUrl>,
    /// How the gateway is reached, by whom, and how much it takes.
    pub gateway: GatewayConfig,
    /// Admin port, metrics and traces.
    pub monitoring: MonitoringConfig,
}

impl Section for ServeConfig {
    fn settings() -> Vec<&'static Setting> {
        [
            AwsConfig::settings(),
            redis::view_settings(),
            GatewayConfig::settings(),
            MonitoringConfig::settings(),
        ]
        .concat()
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        let aws = AwsConfig::read(reader);
        let of_locks = redis::read(reader);
        let config = Self {
            aws,
            redis: redis::read_view(reader).or(of_locks),
            gateway: GatewayConfig::read(reader),
            monitoring: MonitoringConfig::read(reader),
        };
        gateway::check_admin_port(&config.gateway, &config.monitoring.admin, reader);
        gateway::check_producer_queue(&config.aws, reader);
        config
    }
}

/// What `send` needs.
#[derive(Clone, Debug)]
pub struct SendConfig {
    /// Queues, topic and tables.
    pub aws: AwsConfig,
    /// Where traces are exported.
    pub traces: TraceConfig,
}

impl Section for SendConfig {
    fn settings() -> Vec<&'static Setting> {
        [AwsConfig::settings(), TraceConfig::settings()].concat()
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        Self { aws: AwsConfig::read(reader), traces: TraceConfig::read(reader) }
    }
}

/// What `dev` needs: the backends are embedded, the admin port stays on this machine.
#[derive(Clone, Debug)]
pub struct DevConfig {
    /// How the worker works, with the operator's limits.
    pub worker: crate::worker::Settings,
    /// How the sweeper works.
    pub sweeper: sweeper::Settings,
    /// The gateway, on this machine alone and without authentication.
    pub gateway: GatewayConfig,
    /// The admin port.
    pub admin: AdminConfig,
}

impl Section for DevConfig {
    fn settings() -> Vec<&'static Setting> {
        [
            crate::worker::Settings::settings(),
            sweeper::Settings::settings(),
            gateway::local_settings(),
            admin::local_settings(),
        ]
        .concat()
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        let config = Self {
            worker: Section::read(reader),
            sweeper: Section::read(reader),
            gateway: gateway::read_local(reader),
            admin: admin::read_local(reader),
        };
        gateway::check_admin_port(&config.gateway, &config.admin, reader);
        config
    }
}

#[cfg(test)]
mod tests;
