//! Point reads: from the tables, strongly consistent, never kept.

use tokio::time::Instant;

use super::{
    Queries, QueryError, allow,
    answers::{
        Freshness, LineAnswer, LineInfo, ReservationAnswer, SeatAnswer, SeatInfo, SeatOwner,
    },
};
use crate::{
    domain::{LineKey, ReservationId, SeatKey},
    gateway::{Caller, Scope, view::LineEntry},
    ports::{LoadRequest, ReadSet},
};

impl Queries {
    /// One seat; its owner for callers with [`Scope::ReadPrivate`].
    ///
    /// # Errors
    ///
    /// There is no such seat; the caller lacks [`Scope::Read`]; the table cannot be read.
    pub async fn seat(&self, caller: &Caller, key: &SeatKey) -> Result<SeatAnswer, QueryError> {
        allow(caller, Scope::Read)?;
        let wanted = LoadRequest { seats: [key.clone()].into(), ..LoadRequest::default() };
        let (mut read, freshness) = self.load(&wanted).await?;
        let missing = QueryError::NotFound { code: "SEAT_NOT_FOUND", what: "seat" };
        let seat = read.seats.remove(key).flatten().ok_or(missing)?;
        let mut info = SeatInfo::stored(&key.number, &seat, freshness.now);
        if caller.scopes.has(Scope::ReadPrivate) || injected_bug!(ShowOwner) {
            info.owner = SeatOwner::of(&seat);
        }
        Ok(SeatAnswer { key: key.clone(), seat: info, freshness })
    }

    /// One line.
    ///
    /// # Errors
    ///
    /// There is no such line; the caller lacks [`Scope::Read`]; the table cannot be read.
    pub async fn line(&self, caller: &Caller, key: &LineKey) -> Result<LineAnswer, QueryError> {
        allow(caller, Scope::Read)?;
        let wanted = LoadRequest { lines: [key.clone()].into(), ..LoadRequest::default() };
        let (mut read, freshness) = self.load(&wanted).await?;
        let missing = QueryError::NotFound { code: "SKU_NOT_FOUND", what: "SKU" };
        let line = read.lines.remove(key).flatten().ok_or(missing)?;
        Ok(LineAnswer { line: LineInfo::new(&key.sku, &LineEntry::from(&line)), freshness })
    }

    /// One reservation.
    ///
    /// # Errors
    ///
    /// There is no such reservation, or it was given back so long ago that it is gone; the caller
    /// lacks [`Scope::ReadPrivate`]; the table cannot be read.
    pub async fn reservation(
        &self,
        caller: &Caller,
        id: ReservationId,
    ) -> Result<ReservationAnswer, QueryError> {
        allow(caller, Scope::ReadPrivate)?;
        let wanted = LoadRequest { reservations: [id].into(), ..LoadRequest::default() };
        let (mut read, freshness) = self.load(&wanted).await?;
        let missing = QueryError::NotFound { code: "RESERVATION_NOT_FOUND", what: "reservation" };
        let reservation = read.reservations.remove(&id).flatten().ok_or(missing)?;
        Ok(ReservationAnswer { reservation, freshness })
    }

    async fn load(&self, wanted: &LoadRequest) -> Result<(ReadSet, Freshness), QueryError> {
        let (begun, as_of) = (Instant::now(), self.clock.now());
        let read = self.store.load(wanted).await.inspect_err(|error| {
            tracing::warn!(%error, "an item cannot be read");
        })?;
        Ok((read, Freshness { now: self.clock.now(), ..Freshness::read(as_of, begun) }))
    }
}
