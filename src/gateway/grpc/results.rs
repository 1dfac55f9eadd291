//! The stream of results.

use futures::{StreamExt as _, stream::BoxStream, stream::unfold};
use tonic::Status;

use super::{
    proto::{self, watch_results_response::Told},
    responses::timestamp,
    status, watch,
};
use crate::gateway::streams::{Beat, Bye, Life, OpenedResults, ResultsReader, ToldResult};

/// The messages of a stream.
pub(super) type WatchResultsStream =
    BoxStream<'static, Result<proto::WatchResultsResponse, Status>>;

/// A stream under way.
enum Watching {
    Told(Box<ResultsReader>, Life),
    /// `bye` was told: the status follows.
    Ended(Bye),
    Over,
}

/// What the reader tells, as messages; after the last one, the status of the stream.
pub(super) fn stream(opened: OpenedResults) -> WatchResultsStream {
    let OpenedResults { reader, life } = opened;
    unfold(Watching::Told(Box::new(reader), life), next).boxed()
}

async fn next(
    watching: Watching,
) -> Option<(Result<proto::WatchResultsResponse, Status>, Watching)> {
    let (mut reader, life) = match watching {
        Watching::Told(reader, life) => (reader, life),
        Watching::Ended(reason) => return Some((Err(status::ended(reason)), Watching::Over)),
        Watching::Over => return None,
    };
    loop {
        let (told, next) = match life.beat(reader.told()).await {
            // HTTP/2 has pings of its own.
            Beat::Ping => continue,
            Beat::Bye(reason) => (Told::Bye(watch::stream_bye(reason)), Watching::Ended(reason)),
            Beat::Item(told) => (response(told), Watching::Told(reader, life)),
        };
        return Some((Ok(proto::WatchResultsResponse { told: Some(told) }), next));
    }
}

fn response(told: ToldResult) -> Told {
    match told {
        ToldResult::Begin(now) => Told::Begin(proto::ResultsBegin { now: Some(timestamp(now)) }),
        ToldResult::Gap(now) => Told::Gap(proto::ResultsGap { now: Some(timestamp(now)) }),
        ToldResult::Result { id, event } => {
            Told::Result(proto::PublishedResult { id, event: event.to_string() })
        }
    }
}
