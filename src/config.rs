//! Settings, from flags and environment.
//!
//! Each file holds one concern: its settings (flag, variable, default, unit, meaning) and the pure
//! values they become. Everything that is wrong is collected and reported at once, and relations
//! between settings are checked at start, not met at three in the morning.
//!
//! A flag wins over its variable; a variable that is empty counts as unset.

pub mod admin;
pub mod aws;
pub mod environment;
pub mod flags;
pub mod limits;
pub mod logs;
mod parse;
pub mod problem;
pub mod reader;
pub mod redis;
pub mod setting;
pub mod worker;

pub use admin::AdminConfig;
pub use aws::{AwsConfig, QueueRef, TableNames, TopicRef};
pub use environment::{Environment, ProcessEnvironment};
pub use flags::Flags;
pub use limits::Limits;
pub use logs::{LogConfig, LogFormat};
pub use problem::{ConfigError, Problem};
pub use reader::{Effective, Origin, Reader};
pub use redis::{RedisConfig, RedisUrl};
pub use setting::Setting;
pub use worker::{LockUse, WorkerConfig};

/// A set of settings and the values they become.
pub trait Section: Sized {
    /// The settings, in the order `--help` and `check-config` show them.
    fn settings() -> Vec<&'static Setting>;

    /// Reads every setting and checks what must hold between them. What is wrong goes to the
    /// reader; the value returned then is never used.
    fn read(reader: &mut Reader<'_>) -> Self;
}

/// Everything `run` needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How the worker works.
    pub worker: WorkerConfig,
    /// What an operator allows in one reservation.
    pub limits: Limits,
    /// Queues, topic and tables.
    pub aws: AwsConfig,
    /// Locks; `None` means none are taken.
    pub redis: Option<RedisConfig>,
    /// The admin port.
    pub admin: AdminConfig,
}

impl Section for Config {
    fn settings() -> Vec<&'static Setting> {
        [
            AwsConfig::settings(),
            redis::settings(),
            WorkerConfig::settings(),
            Limits::settings(),
            AdminConfig::settings(),
        ]
        .concat()
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        let config = Self {
            aws: AwsConfig::read(reader),
            redis: redis::read(reader),
            worker: WorkerConfig::read(reader),
            limits: Limits::read(reader),
            admin: AdminConfig::read(reader),
        };
        config.worker.check_room_for_pollers(reader, &config.aws);
        config
    }
}

/// What `dev` needs: the backends are embedded, the admin port stays on this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct DevConfig {
    /// How the worker works.
    pub worker: WorkerConfig,
    /// What an operator allows in one reservation.
    pub limits: Limits,
    /// The admin port.
    pub admin: AdminConfig,
}

impl Section for DevConfig {
    fn settings() -> Vec<&'static Setting> {
        [WorkerConfig::settings(), Limits::settings(), admin::local_settings()].concat()
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            worker: WorkerConfig::read(reader),
            limits: Limits::read(reader),
            admin: admin::read_local(reader),
        }
    }
}

#[cfg(test)]
mod tests;
