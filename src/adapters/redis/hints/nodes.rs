//! The nodes that subscriptions are made at: one server, or those of a cluster that serve the slots.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use redis::{ConnectionAddr, ConnectionInfo, RedisError, RedisResult};
use tokio::time::timeout;

use super::link::{Link, Subscription};
use crate::{
    adapters::redis::{
        connection::{lock, use_aws_lc},
        failure::Failure,
        url::RedisUrl,
    },
    ports::PortError,
};

/// The longest that a subscription may take, with connections to several nodes.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Nodes asked for one subscription, each naming the next.
const REDIRECTS_MAX: usize = 4;

/// Nodes remembered; beyond them, those without a connection are forgotten.
const NODES_MAX: usize = 256;

/// The place of a link to one node, which one caller makes while others wait.
type Place = Arc<tokio::sync::Mutex<Option<Arc<Link>>>>;

/// Links to nodes, made at the first subscription that needs them.
pub(super) struct Nodes {
    url: RedisUrl,
    places: Mutex<BTreeMap<String, Place>>,
    /// The address of the node that served a slot last.
    owners: Mutex<BTreeMap<u16, ConnectionAddr>>,
}

impl Nodes {
    pub(super) fn new(url: RedisUrl) -> Self {
        Self { url, places: Mutex::default(), owners: Mutex::default() }
    }

    /// Subscribes to a channel at the node that serves its slot.
    pub(super) async fn subscribe(
        &self,
        slot: u16,
        channel: String,
    ) -> Result<Subscription, PortError> {
        let failure = match timeout(SUBSCRIBE_TIMEOUT, self.find(slot, channel)).await {
            Ok(Ok(subscription)) => return Ok(subscription),
            Ok(Err(error)) => Failure::of(&error, self.url.is_cluster()),
            Err(_) => Failure::timeout(SUBSCRIBE_TIMEOUT),
        };
        // It may be another node's by now.
        lock(&self.owners).remove(&slot);
        Err(failure.at(&self.url))
    }

    async fn find(&self, slot: u16, channel: String) -> RedisResult<Subscription> {
        let known = lock(&self.owners).get(&slot).cloned();
        let mut link = match known {
            Some(address) => self.link(&address).await?,
            None => self.any().await?,
        };
        for _ in 0..REDIRECTS_MAX {
            let error = match link.subscribe(&channel).await {
                Ok(subscription) => {
                    lock(&self.owners).insert(slot, link.address().clone());
                    return Ok(subscription);
                }
                Err(error) => error,
            };
            let Some(next) = self.redirect(&error, link.address()) else { return Err(error) };
            link = self.link(&next).await?;
        }
        Err((redis::ErrorKind::Client, "the nodes of the cluster name each other").into())
    }

    /// A link to any of the nodes that are configured.
    async fn any(&self) -> RedisResult<Arc<Link>> {
        let mut failed = None;
        for node in self.url.nodes() {
            match self.link(node.addr()).await {
                Ok(link) => return Ok(link),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| (redis::ErrorKind::InvalidClientConfig, "no node").into()))
    }

    async fn link(&self, address: &ConnectionAddr) -> RedisResult<Arc<Link>> {
        let place = self.place(address);
        let mut place = place.lock().await;
        if let Some(link) = place.as_ref().filter(|link| !link.is_lost()) {
            return Ok(Arc::clone(link));
        }
        *place = None;
        let Some(node) = self.url.nodes().first() else {
            return Err((redis::ErrorKind::InvalidClientConfig, "no node").into());
        };
        use_aws_lc(&self.url);
        let node: ConnectionInfo = node.clone().set_addr(address.clone());
        let link = Link::connect(node).await?;
        *place = Some(Arc::clone(&link));
        Ok(link)
    }

    fn place(&self, address: &ConnectionAddr) -> Place {
        let mut places = lock(&self.places);
        if places.len() >= NODES_MAX {
            let is_used = |place: &Place| {
                Arc::strong_count(place) > 1
                    || place
                        .try_lock()
                        .is_ok_and(|link| link.as_ref().is_some_and(|link| !link.is_lost()))
            };
            places.retain(|_, place| is_used(place));
        }
        Arc::clone(places.entry(address.to_string()).or_default())
    }

    /// The node that a node names instead of itself.
    fn redirect(&self, error: &RedisError, from: &ConnectionAddr) -> Option<ConnectionAddr> {
        let (address, _) = error.redirect_node().filter(|_| self.url.is_cluster())?;
        let (host, port) = address.rsplit_once(':')?;
        let port = port.parse().ok()?;
        let mut next = from.clone();
        match &mut next {
            ConnectionAddr::Tcp(of_host, of_port)
            | ConnectionAddr::TcpTls { host: of_host, port: of_port, .. } => {
                // A node that does not know its own name leaves it empty.
                if !host.is_empty() {
                    host.trim_matches(['[', ']']).clone_into(of_host);
                }
                *of_port = port;
            }
            _ => return None,
        }
        Some(next)
    }
}
