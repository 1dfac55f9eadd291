//! Lists: from the view, or page by page from the tables.

use tokio::time::Instant;

use super::{
    LIMIT_MAX, PageRequest, Queries, QueryError, SEATS_DEFAULT, SeatFilter, allow,
    answers::{Freshness, LineInfo, Lines, SeatInfo, Seats},
    cursor::{Binding, Position},
};
use crate::{
    domain::{PoolId, SeatNumber, SeatStatus, Sku, Timestamp},
    gateway::{
        Caller, Scope,
        view::{
            Found, LineEntry, PoolView,
            read::{Part, page},
        },
    },
    ports::{PageCursor, Record},
};

/// The most entries of the tables that one answer reads, some 300 read units. One that has found
/// fewer than were asked for says where the list continues.
const READ_MAX: usize = 5_000;

/// The entries of the first page that is read for a filter that may leave out any of them, at least.
/// Each page is twice as long as the one before, up to [`PAGE_MAX`].
const PAGE_MIN: usize = 50;

/// The most entries of a page.
const PAGE_MAX: usize = 1_000;

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
    /// It leaves some entries out.
    is_filtered: bool,
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
        let position = Position::decode::<SeatNumber>(request.cursor.as_deref(), binding)?;
        let found = self.views.get(&pool).await?;
        let (begun, now) = (Instant::now(), self.clock.now());
        let (listed, freshness) = match found {
            Found::Absent => return Err(QueryError::no_pool(&pool)),
            Found::View(snapshot) => {
                let listed = seats_of(snapshot.view(), filter, limit, &position, now);
                (listed, Freshness::of(&snapshot, now))
            }
            Found::TooLarge => {
                let is_filtered = *filter != SeatFilter::default();
                let listing = Listing { pool, part: Part::Seats, limit, position, is_filtered };
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
        let position = Position::decode::<Sku>(request.cursor.as_deref(), binding)?;
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
                let (pool, part, is_filtered) = (pool.clone(), Part::Lines, false);
                let listing = Listing { pool, part, limit, position, is_filtered };
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
        let Listing { pool, part, limit, position: Position { mut after }, is_filtered } = listing;
        let (mut entries, mut left, mut page_min) = (Vec::new(), READ_MAX, PAGE_MIN);
        while left > 0 && entries.len() < limit {
            let wanted = limit - entries.len();
            let size = if is_filtered { wanted.max(page_min).min(PAGE_MAX) } else { wanted };
            let size = size.min(left);
            page_min = page_min.saturating_mul(2);
            if let Err(busy) = self.pace.turn(size).await {
                // What was read is answered, and the list continues behind it.
                if left < READ_MAX {
                    break;
                }
                self.observer.list_refused();
                return Err(busy);
            }
            let from = after.take().map(PageCursor);
            let found = page(&*self.store, &pool, part, from.as_ref(), size).await;
            let found = found.map_err(|error| {
                tracing::warn!(%pool, %error, "a page cannot be read");
                QueryError::Unavailable(error)
            })?;
            self.pace.give_back(size, found.records.len());
            left = left.saturating_sub(found.records.len().max(1));
            for (key, entry) in found.records.into_iter().filter_map(&pick) {
                if entries.len() >= limit {
                    return Ok(Listed { entries, next: Some(Position { after }) });
                }
                after = Some(key);
                entries.extend(entry);
            }
            match found.next {
                Some(next) => after = Some(next.0),
                None => return Ok(Listed { entries, next: None }),
            }
        }
        Ok(Listed { entries, next: Some(Position { after }) })
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
    let next = last.map(|last| Position { after: Some(key(last).to_owned()) });
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
