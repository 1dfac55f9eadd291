//! The bounds of a request's body: its bytes, and how long it may take.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::Status;

use super::{BODY_BYTES_MAX, refusal::Refusal};

/// From the end of a head to the end of its body. A body that takes longer would keep a place in a
/// lane for as long as its sender likes.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A body that fails where it goes beyond its bounds.
pub(super) struct BoundedBody {
    body: Body,
    left: usize,
    deadline: Pin<Box<Sleep>>,
}

impl BoundedBody {
    /// The body within its bounds.
    ///
    /// # Errors
    ///
    /// Where its head says already that it is longer than it may be.
    pub(super) fn of(body: Body, headers: &HeaderMap) -> Result<Body, Refusal> {
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let length: Option<usize> = length.and_then(|text| text.parse().ok());
        if length.is_some_and(|length| length > BODY_BYTES_MAX) {
            return Err(Refusal::TooLarge);
        }
        if body.is_end_stream() {
            return Ok(body);
        }
        let deadline = Box::pin(sleep(TIMEOUT));
        Ok(Body::new(Self { body, left: BODY_BYTES_MAX, deadline }))
    }
}

impl HttpBody for BoundedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            // Statuses, which gRPC finds in an error; over HTTP a body that fails is a bad request.
            let late = || axum::Error::new(Status::cancelled("the request's body took too long"));
            return this.deadline.as_mut().poll(cx).map(|()| Some(Err(late())));
        };
        let bytes = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) | None => 0,
        };
        match this.left.checked_sub(bytes) {
            Some(left) => this.left = left,
            None => {
                let detail = format!("body: expected at most {BODY_BYTES_MAX} bytes");
                let error = axum::Error::new(Status::resource_exhausted(detail));
                return Poll::Ready(Some(Err(error)));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
