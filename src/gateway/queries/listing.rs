//! Lists: from the view, or page by page from the tables.

use tokio::time::Instant;

use super::{
    LIMIT_MAX, PageRequest, Queries, QueryError, SEATS_DEFAULT, SeatFilter, allow,
    answers::{Freshness, LineInfo, Lines, SeatInfo, Seats},
    cursor::{Binding, Position, foreign_cursor},
};
use crate::{
    domain::{PoolId, SeatStatus, Timestamp},
    gateway::{
        Caller, Scope,
        view::{
            Found, LineEntry, PoolView,
            read::{Part, page},
        },
    },
    ports::{PortError, Record},
};

/// The most pages of the tables that one answer reads; each is up to 1 MB.
const PAGES_MAX: usize = 10;

/// Entries of one answer, and where the next begins.
struct Listed<T> {
    entries: Vec<T>,
    next: Option<Position>,
}

/// What to list.
struct Listing {
    pool: PoolId,
    part: Part,
    limit: usize,
    position: Position,
}

impl Queries {
    /// The seats of an event, by seat number.
    ///
    /// # Errors
    ///
    /// There is no such event; the limit or the cursor is wrong; the caller lacks [`Scope::Read`];
    /// the tables cannot be read.
    pub async fn seats(
        &self,
        caller: &Caller,
        event_id: u64,
        filter: &SeatFilter,
        request: &PageRequest,
    ) -> Result<Seats, QueryError> {
        allow(caller, Scope::Read)?;
        let limit = request.limit(SEATS_DEFAULT)?;
        let pool = PoolId::Event(event_id);
        let binding = filter.binding(&pool);
        let position = Position::decode(request.cursor.as_deref(), binding)?;
        let found = self.views.get(&pool).await?;
        let (begun, now) = (Instant::now(), self.clock.now());
        let (listed, freshness) = match found {
            Found::Absent => return Err(QueryError::no_pool(&pool)),
            Found::View(snapshot) => {
                let listed = seats_of(snapshot.view(), filter, limit, &position, now);
                (listed, Freshness::of(&snapshot, now))
            }
            Found::TooLarge => {
                let listing = Listing { pool, part: Part::Seats, limit, position };
                let pick = |record| match record {
                    Record::Seat(key, seat) => {
                        let info = SeatInfo::stored(&key.number, &seat, now);
                        let matches =
                            filter.matches(info.status, info.sellable, info.section.as_deref());
                        Some((key.number.to_string(), matches.then_some(info)))
                    }
                    _ => None,
                };
                (self.listed(listing, pick).await?, Freshness::read(now, begun))
            }
        };
        let next_cursor = listed.next.map(|next| next.encode(binding));
        Ok(Seats { seats: listed.entries, next_cursor, freshness })
    }

    /// The lines of a pool, by SKU; [`LIMIT_MAX`] at a time by default.
    ///
    /// # Errors
    ///
    /// As [`Self::seats`].
    pub async fn lines(
        &self,
        caller: &Caller,
        pool: &PoolId,
        request: &PageRequest,
    ) -> Result<Lines, QueryError> {
        allow(caller, Scope::Read)?;
        let limit = request.limit(LIMIT_MAX)?;
        let binding = Binding::of(&["lines", &pool.to_string()]);
        let position = Position::decode(request.cursor.as_deref(), binding)?;
        let found = self.views.get(pool).await?;
        let (begun, now) = (Instant::now(), self.clock.now());
        let (listed, freshness) = match found {
            Found::Absent => return Err(QueryError::no_pool(pool)),
            Found::View(snapshot) => {
                let lines = snapshot.view().lines_after(position.after.as_deref());
                let lines = lines.map(|(sku, line)| LineInfo::new(sku, line));
                (first(lines, limit, |line| line.sku.as_str()), Freshness::of(&snapshot, now))
            }
            Found::TooLarge => {
                let listing = Listing { pool: pool.clone(), part: Part::Lines, limit, position };
                let pick = |record| match record {
                    Record::Line(key, line) => {
                        let info = LineInfo::new(&key.sku, &LineEntry::from(&line));
                        Some((key.sku.to_string(), Some(info)))
                    }
                    _ => None,
                };
                (self.listed(listing, pick).await?, Freshness::read(now, begun))
            }
        };
        let next_cursor = listed.next.map(|next| next.encode(binding));
        Ok(Lines { lines: listed.entries, next_cursor, freshness })
    }

    /// Lists from the tables. `pick` gives the key of a record, and its entry where it is wanted.
    async fn listed<T>(
        &self,
        listing: Listing,
        pick: impl Fn(Record) -> Option<(String, Option<T>)>,
    ) -> Result<Listed<T>, QueryError> {
        let Listing { pool, part, limit, position } = listing;
        let is_given = position.page.is_some();
        let Position { mut after, page: mut from } = position;
        let mut entries = Vec::new();
        for number in 0..PAGES_MAX {
            let found = page(&*self.store, &pool, part, from.as_ref()).await;
            let found = found.map_err(|error| match error {
                // A page that a caller made up.
                PortError::Refused(_) if is_given && number == 0 => foreign_cursor(),
                error => {
                    tracing::warn!(%pool, %error, "a page cannot be read");
                    QueryError::Unavailable(error)
                }
            })?;
            let start = after.clone();
            let is_new = |key: &str| start.as_deref().is_none_or(|start| key > start);
            let records = found.records.into_iter().filter_map(&pick);
            for (key, entry) in records.filter(|(key, _)| is_new(key)) {
                if entries.len() >= limit {
                    return Ok(Listed { entries, next: Some(Position { after, page: from }) });
                }
                after = Some(key);
                entries.extend(entry);
            }
            from = found.next;
            if from.is_none() {
                return Ok(Listed { entries, next: None });
            }
        }
        Ok(Listed { entries, next: Some(Position { after, page: from }) })
    }
}

/// The seats of a projection that are wanted.
fn seats_of(
    view: &PoolView,
    filter: &SeatFilter,
    limit: usize,
    position: &Position,
    now: Timestamp,
) -> Listed<SeatInfo> {
    let layout = view.layout();
    let begin = layout.position_after(position.after.as_deref());
    let wanted = view.seats().iter().enumerate().skip(begin).filter_map(|(position, entry)| {
        let place = layout.place(position)?;
        let section = place.section.map(AsRef::as_ref);
        let is_wanted = filter.matches(entry.status, entry.is_sellable_at(now), section);
        is_wanted.then(|| SeatInfo::packed(place, entry, now))
    });
    first(wanted, limit, |seat| seat.seat_number.as_str())
}

/// The first entries of a list in memory; with a position where there are more.
fn first<T>(mut all: impl Iterator<Item = T>, limit: usize, key: impl Fn(&T) -> &str) -> Listed<T> {
    let entries: Vec<T> = all.by_ref().take(limit).collect();
    let last = all.next().and_then(|_| entries.last());
    let next = last.map(|last| Position { after: Some(key(last).to_owned()), page: None });
    Listed { entries, next }
}

impl SeatFilter {
    fn matches(&self, status: SeatStatus, sellable: bool, section: Option<&str>) -> bool {
        self.status.is_none_or(|wanted| wanted == status)
            && self.sellable.is_none_or(|wanted| wanted == sellable)
            && self.section.as_ref().is_none_or(|wanted| Some(wanted.as_str()) == section)
    }

    pub(super) fn binding(&self, pool: &PoolId) -> Binding {
        let sellable = self.sellable.map_or("", |wanted| if wanted { "yes" } else { "no" });
        let status = self.status.map_or("", SeatStatus::as_str);
        let section = self.section.as_ref().map_or("", |section| section.as_str());
        Binding::of(&["seats", &pool.to_string(), sellable, status, section])
    }
}
