//! Calls that change something: one command each, or one for each reservation.

use std::time::Duration;

use futures::future::join_all;
use tonic::{Extensions, Request, Status};

use super::{
    Face,
    fields::{self, Violation},
    metadata, proto,
    proto::reservation_result::Result as Became,
    requests::{Requested, RequestedMany},
    responses, status,
};
use crate::{
    domain::{CommandKey, ReservationId},
    gateway::{
        Answer, Caller, CommandError, CommandRequest, Decided, limits::RateExceeded,
        observer::ShedReason,
    },
    message::TraceContext,
};

/// The caller of a request, whom the server has authenticated.
pub(super) fn caller(extensions: &Extensions) -> Result<&Caller, Status> {
    let caller = extensions.get::<Caller>();
    caller.ok_or_else(|| status::unauthenticated("the caller is not authenticated"))
}

/// A call, apart from its message.
pub(super) struct Call<'a> {
    face: &'a Face,
    caller: Caller,
    /// The identity of its command, or what those of several begin with.
    pub(super) key: CommandKey,
    has_new_id: bool,
    wait: Duration,
    traceparent: Option<TraceContext>,
}

impl<'a> Call<'a> {
    /// The call and its message.
    pub(super) fn read<M>(face: &'a Face, request: Request<M>) -> Result<(Self, M), Status> {
        let (metadata, extensions, message) = request.into_parts();
        let caller = caller(&extensions)?.clone();
        let id = metadata::idempotency_key(&metadata)?;
        let has_new_id = id.is_none();
        let key = face.commands.key(&caller, id)?;
        let wait = metadata::wait(&metadata);
        let wait = wait.map_err(|wrong| metadata::about(wrong.into(), &key))?;
        let traceparent = metadata::trace_context(&metadata);
        Ok((Self { face, caller, key, has_new_id, wait, traceparent }, message))
    }

    /// The outcome of the call's command, which is no rejection. Errors name the command.
    pub(super) async fn submit(
        &self,
        requested: Result<Requested, Violation>,
    ) -> Result<Decided, Status> {
        let requested = requested.map_err(|wrong| self.fail(wrong))?;
        let request = self.command(self.key.clone(), requested);
        match self.face.commands.submit(&self.caller, request).await {
            Err(error) => Err(self.fail(error)),
            Ok(Answer::Pending { reservation_id, .. }) => {
                Err(status::pending(&self.key, reservation_id))
            }
            Ok(Answer::Decided(decided)) => match decided.outcome.rejection() {
                Some(rejection) => Err(self.fail(status::rejected(rejection))),
                None => Ok(*decided),
            },
        }
    }

    /// The reservation as the call's command left it.
    pub(super) async fn submit_for_reservation(
        &self,
        requested: Result<Requested, Violation>,
    ) -> Result<proto::Reservation, Status> {
        let decided = self.submit(requested).await?;
        let reservation = decided.outcome.reservation().map(responses::reservation);
        reservation.ok_or_else(|| self.unexpected())
    }

    /// What became of each reservation, in the order requested. Each counts against the caller's
    /// rate. Fails if no command was answered.
    pub(super) async fn submit_each(
        &self,
        requested: Result<RequestedMany, Violation>,
    ) -> Result<Vec<proto::ReservationResult>, Status> {
        let RequestedMany { pool, actions, group } = requested.map_err(|wrong| self.fail(wrong))?;
        self.count(actions.len())?;
        let mut requests = Vec::with_capacity(actions.len());
        for (id, action) in actions {
            let key = self.key_of(id).map_err(|wrong| self.fail(wrong))?;
            let (pool, group) = (pool.clone(), group.clone());
            requests.push((id, self.command(key, Requested { pool, action, group })));
        }
        let answers = join_all(requests.into_iter().map(|(id, request)| async move {
            let key = request.key.clone();
            (id, key, self.face.commands.submit(&self.caller, request).await)
        }));
        let answers = answers.await;
        let is_answered = answers.iter().any(|(_, _, answer)| answer.is_ok());
        let mut results = Vec::with_capacity(answers.len());
        for (id, key, answer) in answers {
            let result = match answer {
                Err(error) if !is_answered => return Err(self.fail(error)),
                answer => became(answer).ok_or_else(|| self.unexpected())?,
            };
            results.push(proto::ReservationResult {
                reservation_id: id.to_string(),
                command_id: key.id.to_string(),
                result: Some(result),
            });
        }
        Ok(results)
    }

    /// Counts the call's commands against its caller's rate. The guard has counted the call, and
    /// with it the first.
    fn count(&self, commands: usize) -> Result<(), Status> {
        let counted = self.face.rate.check_rest(&self.caller.subject, commands);
        counted.map_err(|exceeded| match exceeded {
            RateExceeded::For(retry_after) => {
                self.face.observer.shed(ShedReason::Rate);
                self.fail(status::rate_limited(retry_after))
            }
            RateExceeded::Always { commands_max } => self.fail(Violation::new(
                "reservations",
                format!("at most {commands_max}, as many as a caller's rate lets pass at once"),
            )),
        })
    }

    /// The answer for an outcome of another kind than the command's.
    pub(super) fn unexpected(&self) -> Status {
        self.fail(status::internal("the command has an outcome of another kind"))
    }

    fn fail(&self, error: impl Into<Status>) -> Status {
        metadata::about(error.into(), &self.key)
    }

    /// The identity of the command on one of several reservations.
    fn key_of(&self, reservation: ReservationId) -> Result<CommandKey, Violation> {
        let id = format!("{}/{reservation}", self.key.id);
        let id = fields::text(metadata::IDEMPOTENCY_KEY, &id).map_err(|_| {
            let expected = "at most 219 bytes: ids of reservations follow it";
            Violation::new(metadata::IDEMPOTENCY_KEY, expected)
        })?;
        Ok(CommandKey { source: self.key.source.clone(), id })
    }

    fn command(&self, key: CommandKey, requested: Requested) -> CommandRequest {
        let Requested { pool, action, group } = requested;
        let (has_new_id, wait) = (self.has_new_id, Some(self.wait));
        let traceparent = self.traceparent.clone();
        CommandRequest { key, has_new_id, pool, action, wait, group, traceparent }
    }
}

/// What became of one reservation of several; `None` for an outcome of another kind.
fn became(answer: Result<Answer, CommandError>) -> Option<Became> {
    Some(match answer {
        Ok(Answer::Pending { .. }) => Became::Pending(proto::Pending {}),
        Ok(Answer::Decided(decided)) => match decided.outcome.rejection() {
            Some(rejection) => Became::Rejection(responses::rejection(rejection, usize::MAX)),
            None => Became::Reservation(responses::reservation(decided.outcome.reservation()?)),
        },
        Err(CommandError::Invalid(rejection)) => {
            Became::Rejection(responses::rejection(&rejection, usize::MAX))
        }
        Err(error) => {
            let status = Status::from(error);
            let (status_code, message) = (status.code().into(), status.message().to_owned());
            Became::Failure(proto::Failure { status_code, message })
        }
    })
}
