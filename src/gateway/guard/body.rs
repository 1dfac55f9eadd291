//! A body that ends at an instant, whatever is still to come.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// A body, and what is made of its end where it has not ended by then.
pub(super) struct EndingBody<F> {
    body: Body,
    ends: Pin<Box<Sleep>>,
    last: Option<F>,
}

impl<F> EndingBody<F>
where
    F: FnOnce() -> Result<Frame<Bytes>, axum::Error> + Send + Unpin + 'static,
{
    /// The body, in whose place comes `last` after `time`.
    pub(super) fn after(time: Duration, body: Body, last: F) -> Body {
        Body::new(Self { body, ends: Box::pin(sleep(time)), last: Some(last) })
    }
}

impl<F> HttpBody for EndingBody<F>
where
    F: FnOnce() -> Result<Frame<Bytes>, axum::Error> + Unpin,
{
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if this.last.is_none() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        ready!(this.ends.as_mut().poll(cx));
        // Nobody reads it any more.
        this.body = Body::empty();
        Poll::Ready(this.last.take().map(|last| last()))
    }

    fn is_end_stream(&self) -> bool {
        self.last.is_none() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
