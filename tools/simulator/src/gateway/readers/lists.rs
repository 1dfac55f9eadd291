//! Lists, read page by page, and everything that a gateway shows at rest.

use std::time::Duration;

use super::{super::behind, Door, Reader, Situation};
use crate::{
    checks::gateway::{Moment, seats::ShownSeat},
    workload::visits::{Query, Walk, Who},
    world::World,
};
use inventory_worker::{
    domain::{PoolId, Timestamp},
    gateway::{
        QueryError,
        queries::{LIMIT_MAX, PageRequest, SeatFilter, ViewSource},
    },
    ports::Clock,
};

/// No list of the workload has more pages.
const PAGES_MAX: usize = 2_000;

/// At rest, everything is shown within this time.
const REST_WITHIN: Duration = Duration::from_secs(300);

/// A page of a list: the moment, its keys, and the next page's cursor.
type PageOf = (Moment, Vec<String>, Option<String>);

/// Reads a list page by page, from one gateway or from one after the other.
pub(super) async fn walk(world: &World, doors: &[Door], query: &Query, walk: &Walk) {
    let mut pages = Vec::new();
    let mut cursor = None;
    for number in 0..PAGES_MAX {
        let moved = if walk.moves { number } else { 0 };
        let index = (query.gateway + moved) % doors.len().max(1);
        let Some(gateway) = behind(doors, index) else {
            return world.cover(Situation::NoGateway);
        };
        let reader = Reader::new(world, &gateway, query.who);
        let page = tokio::select! {
            biased;
            page = reader.page(walk, cursor.take()) => page,
            () = gateway.dead.cancelled() => return world.cover(Situation::NoGateway),
        };
        let Some((moment, keys, next)) = page else { return };
        pages.push((moment, keys));
        let Some(next) = next else { break };
        if walk.misuses {
            reader.misuse(walk, &next).await;
        }
        cursor = Some(next);
        tokio::time::sleep(walk.pause).await;
    }
    let has_changed = world.history().walked(&walk.pool, walk.filter.as_ref(), &pages);
    if pages.len() > 1 {
        world.cover(Situation::Walk);
        if has_changed {
            world.cover(Situation::ChangedInWalk);
        }
    }
}

/// Checks that a gateway shows what the tables have.
pub(in crate::gateway) async fn at_rest(world: &World, door: &Door) {
    // One that crashed is about to start again.
    let doors = [door.clone()];
    let gateway = loop {
        match behind(&doors, 0) {
            Some(gateway) => break gateway,
            None => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    };
    let reader = Reader::new(world, &gateway, Who::Local);
    let rest = world.clock.now();
    let until = reader.settled_by(rest);
    while world.clock.now() <= until {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let pools = world.history().pools();
    for pool in pools {
        reader.show_at_rest(&pool, rest).await;
    }
}

impl Reader<'_> {
    /// Asks for everything of a pool until it is of the time of rest.
    async fn show_at_rest(&self, pool: &PoolId, rest: Timestamp) {
        let list = |filter| Walk {
            pool: pool.clone(),
            filter,
            limit: LIMIT_MAX,
            pause: Duration::ZERO,
            moves: false,
            misuses: false,
        };
        let mut lists = vec![list(None)];
        if pool.event_id().is_some() {
            lists.push(list(Some(SeatFilter::default())));
        }
        let began = tokio::time::Instant::now();
        let mut is_settled = false;
        while !is_settled && began.elapsed() < REST_WITHIN {
            is_settled = true;
            for list in &lists {
                is_settled &= self.list_at_rest(list, rest).await;
            }
            if let Some(event_id) = pool.event_id() {
                let is_old = |moment: Option<Moment>| moment.is_some_and(|it| it.since < rest);
                is_settled &= !is_old(self.availability(event_id).await);
                is_settled &= !is_old(self.map(event_id).await);
            }
            if !is_settled {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
        match is_settled {
            true => self.world.cover(Situation::AtRest),
            false => {
                let detail = format!("{:?} does not show {pool} as it is", self.gateway.life);
                self.world.history().fail("rest", detail);
            }
        }
    }

    /// Reads a whole list. Returns whether it is of the time of rest.
    async fn list_at_rest(&self, list: &Walk, rest: Timestamp) -> bool {
        let mut pages = Vec::new();
        let mut cursor = None;
        loop {
            let Some((moment, keys, next)) = self.page(list, cursor).await else { return false };
            pages.push((moment, keys));
            if next.is_none() {
                break;
            }
            cursor = next;
        }
        let is_settled = pages.iter().all(|(moment, _)| moment.since >= rest);
        self.world.history().walked(&list.pool, list.filter.as_ref(), &pages);
        is_settled
    }

    /// Asks for a page, and checks it.
    async fn page(&self, walk: &Walk, cursor: Option<String>) -> Option<PageOf> {
        let asked = self.world.clock.now();
        let request = PageRequest { limit: Some(walk.limit), cursor };
        let page = match (&walk.filter, walk.pool.event_id()) {
            (Some(filter), Some(event_id)) => self.seats_page(event_id, filter, &request).await,
            _ => self.lines_page(&walk.pool, &request).await,
        };
        match page {
            Ok((moment, keys, next)) => {
                self.check_allowed(self.who.reads_public());
                let is_too_long = keys.len() > walk.limit.try_into().unwrap_or(usize::MAX);
                if is_too_long {
                    let detail = format!("{} of at most {}", keys.len(), walk.limit);
                    self.world.history().fail("pages", detail);
                }
                self.trace(format_args!("lists {}: {}", walk.pool, keys.join(" ")));
                Some((moment, keys, next))
            }
            Err(error) => {
                self.failed(&error, &walk.pool, asked);
                None
            }
        }
    }

    async fn seats_page(
        &self,
        event_id: u64,
        filter: &SeatFilter,
        request: &PageRequest,
    ) -> Result<PageOf, QueryError> {
        let answer = self.gateway.queries.seats(&self.caller, event_id, filter, request).await?;
        let moment = self.moment(&answer.freshness);
        self.cover_source(answer.freshness.source);
        let seats: Vec<ShownSeat> = answer.seats.iter().map(ShownSeat::from).collect();
        self.world.history().showed_seats(&moment, event_id, &seats);
        if answer.seats.iter().any(|seat| seat.owner.is_some()) {
            self.world.history().fail("private", "a list shows an owner".to_owned());
        }
        seats.iter().for_each(|seat| self.cover_seat(seat, moment.now));
        let wrong = seats.iter().find(|seat| {
            filter.status.is_some_and(|status| status != seat.status)
                || filter.sellable.is_some_and(|sellable| sellable != seat.is_sellable)
        });
        if let Some(wrong) = wrong {
            self.world.history().fail("filter", format!("{wrong:?} in a list of {filter:?}"));
        }
        let keys = seats.into_iter().map(|seat| seat.number).collect();
        Ok((moment, keys, answer.next_cursor))
    }

    async fn lines_page(&self, pool: &PoolId, request: &PageRequest) -> Result<PageOf, QueryError> {
        let answer = self.gateway.queries.lines(&self.caller, pool, request).await?;
        let moment = self.moment(&answer.freshness);
        self.cover_source(answer.freshness.source);
        self.world.history().showed_lines(&moment, pool, &answer.lines);
        let keys = answer.lines.iter().map(|line| line.sku.to_string()).collect();
        Ok((moment, keys, answer.next_cursor))
    }

    fn cover_source(&self, source: ViewSource) {
        if source == ViewSource::Store {
            self.world.cover(Situation::FromTables);
        }
    }

    /// Uses a cursor for another list, which must be refused.
    async fn misuse(&self, walk: &Walk, cursor: &str) {
        let request = PageRequest { limit: None, cursor: Some(cursor.to_owned()) };
        let queries = &self.gateway.queries;
        let refused = match (&walk.filter, walk.pool.event_id()) {
            (Some(filter), Some(event_id)) => {
                let other =
                    SeatFilter { sellable: Some(filter.sellable != Some(true)), ..filter.clone() };
                queries.seats(&self.caller, event_id, &other, &request).await.err()
            }
            _ => queries.lines(&self.caller, &PoolId::Event(77), &request).await.err(),
        };
        match refused {
            Some(QueryError::Invalid { field: "cursor", .. }) => {
                self.world.cover(Situation::ForeignCursor);
            }
            other => {
                let detail = format!("one of {walk:?} is taken in another list: {other:?}");
                self.world.history().fail("cursor", detail);
            }
        }
    }
}
