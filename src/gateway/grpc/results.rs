//! The stream of results.

use futures::{StreamExt as _, stream::BoxStream, stream::unfold};
use tonic::Status;

use super::{
    proto::{self, watch_results_response::Event},
    responses::timestamp,
    status, watch,
};
use crate::gateway::streams::{Beat, Bye, Life, OpenedResults, ResultEvent, ResultsReader};

/// The messages of a stream.
pub(super) type WatchResultsStream =
    BoxStream<'static, Result<proto::WatchResultsResponse, Status>>;

/// A stream under way.
enum Watching {
    Open(Box<ResultsReader>, Life),
    /// `bye` was sent: the status follows.
    Ended(Bye),
    Over,
}

/// What the reader tells, as messages; after the last one, the status of the stream.
pub(super) fn stream(opened: OpenedResults) -> WatchResultsStream {
    let OpenedResults { reader, life } = opened;
    unfold(Watching::Open(Box::new(reader), life), next).boxed()
}

async fn next(
    watching: Watching,
) -> Option<(Result<proto::WatchResultsResponse, Status>, Watching)> {
    let (mut reader, life) = match watching {
        Watching::Open(reader, life) => (reader, life),
        Watching::Ended(reason) => return Some((Err(status::ended(reason)), Watching::Over)),
        Watching::Over => return None,
    };
    loop {
        let (event, next) = match life.beat(reader.next_event()).await {
            // HTTP/2 has pings of its own.
            Beat::Ping => continue,
            Beat::Bye(reason) => (Event::Bye(watch::stream_bye(reason)), Watching::Ended(reason)),
            Beat::Item(event) => (response(event), Watching::Open(reader, life)),
        };
        return Some((Ok(proto::WatchResultsResponse { event: Some(event) }), next));
    }
}

fn response(event: ResultEvent) -> Event {
    match event {
        ResultEvent::Begin(now) => Event::Begin(proto::ResultsBegin { now: Some(timestamp(now)) }),
        ResultEvent::Gap(now) => Event::Gap(proto::ResultsGap { now: Some(timestamp(now)) }),
        ResultEvent::Result { id, event } => {
            Event::Result(proto::PublishedResult { id, event: event.to_string() })
        }
    }
}
