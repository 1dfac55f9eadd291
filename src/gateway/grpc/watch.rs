//! The stream of an event's changes.

use std::{collections::VecDeque, sync::Arc};

use futures::{StreamExt as _, stream::BoxStream, stream::unfold};
use tonic::Status;

use super::{
    proto::{self, watch_changes_response::Change},
    responses::{self, integer, timestamp},
    status,
};
use crate::gateway::{
    queries::SeatInfo,
    streams::{Beat, Bye, ChangesSnapshot, FeedUpdate, Frame, Life, Opened, Reader, SeatUpdate},
    view::SeatLayout,
};

/// The messages of a stream.
pub(super) type WatchChangesStream =
    BoxStream<'static, Result<proto::WatchChangesResponse, Status>>;

/// Seats of one message of a snapshot: some 300 KB, well below the 4 MiB that clients accept by
/// default.
const SEATS_AT_ONCE: usize = 2_000;

/// A stream under way. Updates are turned into messages one at a time, as the client takes them.
struct Watching {
    event_id: u64,
    reader: Reader,
    life: Life,
    snapshot: Option<Parts>,
    frames: VecDeque<(Arc<Frame>, Arc<SeatLayout>)>,
    ended: Option<Ended>,
}

/// What is left of a snapshot.
struct Parts {
    snapshot: ChangesSnapshot,
    from: usize,
}

/// How far a stream has ended.
#[derive(Clone, Copy)]
enum Ended {
    Unsent(Bye),
    Sent(Bye),
    Over,
}

/// What the reader tells, as messages; after the last one, the status of the stream.
pub(super) fn stream(event_id: u64, opened: Opened) -> WatchChangesStream {
    let Opened { reader, life } = opened;
    let (snapshot, frames, ended) = (None, VecDeque::new(), None);
    let watching = Watching { event_id, reader, life, snapshot, frames, ended };
    unfold(watching, |mut watching| async move {
        let next = watching.next().await?;
        Some((next, watching))
    })
    .boxed()
}

impl Watching {
    async fn next(&mut self) -> Option<Result<proto::WatchChangesResponse, Status>> {
        loop {
            if let Some(response) = self.ready() {
                return Some(Ok(response));
            }
            match self.ended {
                None => {}
                Some(Ended::Unsent(reason)) => {
                    self.ended = Some(Ended::Sent(reason));
                    return Some(Ok(bye(reason)));
                }
                Some(Ended::Sent(reason)) => {
                    self.ended = Some(Ended::Over);
                    return Some(Err(status::ended(reason)));
                }
                Some(Ended::Over) => return None,
            }
            match self.life.beat(self.reader.next()).await {
                // HTTP/2 has pings of its own.
                Beat::Ping => {}
                Beat::Bye(reason) => self.ended = Some(Ended::Unsent(reason)),
                Beat::Item(update) => self.take(update),
            }
        }
    }

    fn take(&mut self, update: FeedUpdate) {
        self.reader.has(&update);
        match update {
            FeedUpdate::End(reason) => self.ended = Some(Ended::Unsent(reason)),
            FeedUpdate::Snapshot(snapshot) => self.snapshot = Some(Parts { snapshot, from: 0 }),
            FeedUpdate::Frames { frames, layout } => {
                self.frames = frames.into_iter().map(|frame| (frame, layout.clone())).collect();
            }
        }
    }

    /// The next message of the last update.
    fn ready(&mut self) -> Option<proto::WatchChangesResponse> {
        if let Some(parts) = &mut self.snapshot {
            let (response, is_last) = parts.next(self.event_id);
            if is_last {
                self.snapshot = None;
            }
            return Some(response);
        }
        let (frame, layout) = self.frames.pop_front()?;
        Some(delta(&frame, &layout))
    }
}

impl Parts {
    /// The next part, and whether it is the last.
    fn next(&mut self, event_id: u64) -> (proto::WatchChangesResponse, bool) {
        let Self { snapshot, from } = self;
        let (view, now) = (snapshot.view(), snapshot.sellable_at());
        let first = *from == 0;
        let to = from.saturating_add(SEATS_AT_ONCE);
        let seats = view.seats().iter().enumerate().skip(*from).take(SEATS_AT_ONCE);
        let seats = seats.filter_map(|(position, entry)| {
            let seat = SeatInfo::packed(view.layout().place(position)?, entry, now);
            Some(responses::seat(event_id, seat))
        });
        let last = to >= view.seats().len();
        let part = proto::SeatsSnapshot { seats: seats.collect(), first, last };
        let response = proto::WatchChangesResponse {
            change: Some(Change::Snapshot(part)),
            resume_token: if last { snapshot.token() } else { String::new() },
            as_of: Some(timestamp(snapshot.as_of)),
            now: Some(timestamp(snapshot.now)),
        };
        *from = to;
        (response, last)
    }
}

fn delta(frame: &Frame, layout: &SeatLayout) -> proto::WatchChangesResponse {
    let seat = |update: &SeatUpdate| {
        let place = layout.place(usize::try_from(update.position).ok()?)?;
        Some(proto::SeatUpdate {
            seat_number: place.number.to_string(),
            status: responses::seat_status(update.entry.status).into(),
            sellable: update.sellable,
            reserved_until: update.entry.until().map(timestamp),
            version: integer(update.entry.version),
        })
    };
    let seats = frame.seats.iter().filter_map(seat).collect();
    proto::WatchChangesResponse {
        change: Some(Change::Delta(proto::SeatsDelta { seats })),
        resume_token: frame.token(),
        as_of: Some(timestamp(frame.as_of)),
        now: Some(timestamp(frame.now)),
    }
}

fn bye(reason: Bye) -> proto::WatchChangesResponse {
    let bye = stream_bye(reason);
    proto::WatchChangesResponse { change: Some(Change::Bye(bye)), ..Default::default() }
}

/// The last message of any stream.
pub(super) fn stream_bye(reason: Bye) -> proto::StreamBye {
    let reason = match reason {
        Bye::Draining => proto::ByeReason::Draining,
        Bye::Age => proto::ByeReason::Age,
        Bye::Unavailable => proto::ByeReason::Unavailable,
        Bye::Gone => proto::ByeReason::Gone,
        Bye::TooLarge => proto::ByeReason::TooLarge,
    };
    proto::StreamBye { reason: reason.into() }
}
