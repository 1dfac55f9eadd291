use std::{num::NonZeroU32, sync::Mutex, time::Duration};

use axum::Extension;
use tonic::{Code, Request, Status, metadata::MetadataMap};
use tonic_types::StatusExt as _;

use super::{
    metadata::{COMMAND_ID, COMMAND_SOURCE, RESERVATION_ID},
    proto::{
        inventory_service_client::InventoryServiceClient, reservation_result::Result as Became,
    },
    *,
};
use crate::{
    adapters::{
        memory::{MemoryStore, TokioClock},
        system::Random,
    },
    domain::{
        Action, Changes, Digest, Outcome, PoolId, Rejection, RejectionCode, Reservation,
        ReservationId, ReservationStatus, RestockSummary,
    },
    gateway::{
        Decided, QuerySettings, Scopes,
        caller::Sources,
        commands::reservation_of,
        limits::LimitSettings,
        observer::NoopRequestObserver,
        streams::{Changes as Streamed, Results, StreamSettings, Streams},
    },
    ports::Record,
};

mod reads;
mod served;
mod streams;

const NOW: &str = "2026-11-22T10:00:00Z";

/// Four commands of a caller at once.
const LIMITS: LimitSettings = LimitSettings {
    rate_per_second: NonZeroU32::MIN,
    burst: NonZeroU32::new(4).unwrap(),
    commands_in_flight_max: 10,
    lists_in_flight_max: 10,
};

/// What becomes of a command.
type Fate = dyn Fn(&CommandRequest) -> Result<Answer, CommandError> + Send + Sync;

/// Commands whose fate a test decides.
struct Scripted {
    fate: Box<Fate>,
    seen: Mutex<Vec<(Caller, CommandRequest)>>,
}

impl Scripted {
    fn new(
        fate: impl Fn(&CommandRequest) -> Result<Answer, CommandError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { fate: Box::new(fate), seen: Mutex::default() })
    }

    fn seen(&self) -> Vec<CommandRequest> {
        self.seen.lock().unwrap().iter().map(|(_, request)| request.clone()).collect()
    }
}

#[async_trait]
impl CommandPort for Scripted {
    fn key(&self, caller: &Caller, id: Option<CommandId>) -> Result<CommandKey, CommandError> {
        let id = id.unwrap_or_else(|| "new".parse().unwrap());
        Ok(CommandKey { source: caller.default_source().unwrap(), id })
    }

    async fn submit(
        &self,
        caller: &Caller,
        request: CommandRequest,
    ) -> Result<Answer, CommandError> {
        let answer = (self.fate)(&request);
        self.seen.lock().unwrap().push((caller.clone(), request));
        answer
    }
}

/// The command is decided so.
fn decided(request: &CommandRequest, outcome: Outcome) -> Result<Answer, CommandError> {
    Ok(Answer::Decided(Box::new(Decided {
        key: request.key.clone(),
        command_type: request.action.command_type().as_str(),
        digest: Digest([0; 32]),
        pool: request.pool.clone(),
        outcome,
        changes: Changes::NONE,
        decided_at: NOW.parse().unwrap(),
    })))
}

fn rejected(request: &CommandRequest, code: RejectionCode) -> Result<Answer, CommandError> {
    let rejection = Rejection::new(code, "for people");
    decided(request, Outcome::Rejected { rejection })
}

/// The reservation that the command names, in some state.
fn reservation(request: &CommandRequest) -> Reservation {
    Reservation {
        reservation_id: named(&request.action),
        pool: request.pool.clone(),
        source: request.key.source.clone(),
        user_id: "u-7".parse().unwrap(),
        status: ReservationStatus::Active,
        version: 1,
        seats: vec!["A-1".parse().unwrap()],
        lines: Vec::new(),
        booking_id: None,
        goods: None,
        fulfilled_at: None,
        created_at: NOW.parse().unwrap(),
        expires_at: NOW.parse().unwrap(),
        ended_at: None,
    }
}

fn named(action: &Action) -> ReservationId {
    reservation_of(action).unwrap()
}

fn succeed(request: &CommandRequest) -> Result<Answer, CommandError> {
    let reservation = || reservation(request);
    let outcome = match request.action {
        Action::Reserve(_) => Outcome::Reserved { reservation: reservation() },
        Action::Extend(_) => Outcome::Extended { reservation: reservation() },
        Action::Confirm(_) => Outcome::Confirmed { reservation: reservation() },
        Action::Cancel(_) => Outcome::Cancelled { reservation: reservation(), reason: None },
        _ => Outcome::Restocked {
            restock: RestockSummary { lines_applied: 2, lines_skipped: 1, ..skipped() },
            reason: None,
            reference: None,
        },
    };
    decided(request, outcome)
}

fn skipped() -> RestockSummary {
    RestockSummary { skipped: vec!["bolt".to_owned()], ..RestockSummary::default() }
}

fn shop(scopes: Scopes) -> Caller {
    let sources = Sources::Own { prefixes: Vec::new() };
    Caller { subject: "shop".to_owned(), scopes, sources }
}

async fn face(commands: Arc<Scripted>) -> Face {
    face_on(commands, []).await
}

/// The face of a gateway whose tables hold these.
async fn face_on(commands: Arc<Scripted>, records: impl IntoIterator<Item = Record>) -> Face {
    let clock: Arc<dyn Clock> = Arc::new(TokioClock::new(NOW.parse().unwrap()));
    let store = Arc::new(MemoryStore::new(Arc::clone(&clock)));
    store.insert(records);
    let queries = Queries::new(store, Arc::clone(&clock), QuerySettings::default());
    let (queries, entropy) = (Arc::new(queries), Arc::new(Random::seeded(7)));
    let observer = Arc::new(NoopRequestObserver);
    let streams = Streams::new(StreamSettings::default(), entropy.clone(), observer.clone());
    let results = Results::new(None, streams.clone(), Arc::clone(&clock));
    let changes = Streamed::new(Arc::clone(&queries), streams, Arc::clone(&clock), entropy);
    let rate = Arc::new(CallerRate::new(&LIMITS));
    let serving = Serving::start().await;
    Face { commands, rate, observer, queries, changes, results, clock, serving }
}

/// A client of an authenticated caller, without a network.
async fn client(commands: &Arc<Scripted>) -> InventoryServiceClient<axum::Router> {
    let router = router(face(Arc::clone(commands)).await);
    InventoryServiceClient::new(router.layer(Extension(shop(Scopes::all()))))
}

fn with_metadata<M>(message: M, values: &[(&'static str, &'static str)]) -> Request<M> {
    let mut request = Request::new(message);
    for (key, value) in values {
        request.metadata_mut().insert(*key, value.parse().unwrap());
    }
    request
}

fn event() -> Option<proto::Pool> {
    Some(proto::Pool { pool: Some(proto::pool::Pool::EventId(42)) })
}

fn reserve() -> proto::ReserveSeatsRequest {
    proto::ReserveSeatsRequest {
        pool: event(),
        user_id: "u-7".to_owned(),
        seats: vec!["A-1".to_owned()],
        ..proto::ReserveSeatsRequest::default()
    }
}

fn id(number: u128) -> String {
    uuid::Uuid::from_u128(number).to_string()
}

fn confirm(numbers: impl IntoIterator<Item = u128>) -> proto::ConfirmReservationsRequest {
    let one = |number| proto::ReservationToConfirm {
        reservation_id: id(number),
        booking_id: "b-1".to_owned(),
        ..proto::ReservationToConfirm::default()
    };
    let reservations = numbers.into_iter().map(one).collect();
    proto::ConfirmReservationsRequest { pool: event(), reservations, group: None }
}

fn trailer<'m>(metadata: &'m MetadataMap, key: &str) -> Option<&'m str> {
    metadata.get(key).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_reserve_is_posted_under_the_callers_key_and_answered_with_its_outcome() {
    let commands = Scripted::new(succeed);
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let values = [("idempotency-key", "k-1"), ("grpc-timeout", "2S"), ("traceparent", traceparent)];
    let request = with_metadata(
        proto::ReserveSeatsRequest { group: Some("vip".to_owned()), ..reserve() },
        &values,
    );
    let response = client(&commands).await.reserve_seats(request).await.unwrap().into_inner();
    let [posted] = &*commands.seen() else { panic!("one command") };
    assert_eq!(posted.key.to_string(), "/callers/shop k-1");
    assert_eq!(posted.pool, PoolId::Event(42));
    assert_eq!(posted.wait, Some(Duration::from_millis(1_950)));
    assert_eq!(posted.group, Some("vip".parse().unwrap()));
    assert_eq!(posted.traceparent.as_ref().unwrap().traceparent(), traceparent);
    let default = posted.key.default_reservation_id();
    assert_eq!(named(&posted.action), default);
    assert_eq!(response.reservation.unwrap().reservation_id, default.to_string());
    assert_eq!((&*response.command_id, &*response.command_source), ("k-1", "/callers/shop"));
}

#[tokio::test]
async fn without_a_key_the_answer_names_the_new_one() {
    let commands = Scripted::new(succeed);
    let response = client(&commands).await.reserve_seats(reserve()).await.unwrap().into_inner();
    assert_eq!(response.command_id, "new");
    assert_eq!(commands.seen()[0].wait, Some(deadline::WAIT_DEFAULT));
}

#[tokio::test]
async fn an_extend_and_a_restock_are_answered_with_their_outcomes() {
    let mut client = client(&Scripted::new(succeed)).await;
    let extend = proto::ExtendReservationRequest {
        pool: event(),
        reservation_id: id(1),
        hold_seconds: 60,
        ..proto::ExtendReservationRequest::default()
    };
    let extended = client.extend_reservation(extend).await.unwrap().into_inner();
    assert_eq!(extended.reservation.unwrap().reservation_id, id(1));
    assert_eq!(extended.command_id, "new");
    let restock = proto::RestockRequest { pool: event(), ..proto::RestockRequest::default() };
    let restocked = client.restock(restock).await.unwrap().into_inner();
    let expected = proto::RestockResponse {
        lines_applied: 2,
        lines_skipped: 1,
        skipped: vec!["bolt".to_owned()],
        command_id: "new".to_owned(),
        command_source: "/callers/shop".to_owned(),
        ..proto::RestockResponse::default()
    };
    assert_eq!(restocked, expected);
}

#[tokio::test]
async fn errors_name_the_command() {
    let errors: [(Box<Fate>, Code); 3] = [
        (Box::new(|_| Err(CommandError::Full)), Code::Unavailable),
        (
            Box::new(|request| rejected(request, RejectionCode::SeatsUnavailable)),
            Code::FailedPrecondition,
        ),
        (
            Box::new(|request| {
                decided(
                    request,
                    Outcome::Restocked { restock: skipped(), reason: None, reference: None },
                )
            }),
            Code::Internal,
        ),
    ];
    for (fate, code) in errors {
        let mut client = client(&Scripted::new(fate)).await;
        let error = client.reserve_seats(reserve()).await.unwrap_err();
        assert_eq!(error.code(), code);
        assert_eq!(trailer(error.metadata(), COMMAND_ID), Some("new"));
        assert_eq!(trailer(error.metadata(), COMMAND_SOURCE), Some("/callers/shop"));
    }
}

#[tokio::test]
async fn a_wrong_request_is_never_posted() {
    let commands = Scripted::new(succeed);
    let mut client = client(&commands).await;
    let wrong = proto::ReserveSeatsRequest { user_id: String::new(), ..reserve() };
    let error = client.reserve_seats(with_metadata(wrong, &[("idempotency-key", "k-1")])).await;
    let error = error.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert_eq!(trailer(error.metadata(), COMMAND_ID), Some("k-1"));
    let error = client.reserve_seats(with_metadata(reserve(), &[("grpc-timeout", "soon")])).await;
    assert_eq!(error.unwrap_err().code(), Code::InvalidArgument);
    let error = client.confirm_reservations(confirm([])).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    let long = "k".repeat(220);
    let mut request = Request::new(confirm([1]));
    request.metadata_mut().insert("idempotency-key", long.parse().unwrap());
    let error = client.confirm_reservations(request).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().starts_with("idempotency-key: "), "{}", error.message());
    assert!(commands.seen().is_empty());
}

#[tokio::test]
async fn a_call_without_a_caller_is_unauthenticated() {
    let commands = Scripted::new(succeed);
    let mut client = InventoryServiceClient::new(router(face(Arc::clone(&commands)).await));
    let error = client.reserve_seats(reserve()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    let error = client.confirm_reservations(confirm([1])).await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    assert!(commands.seen().is_empty());
}

#[tokio::test]
async fn an_id_is_new_where_the_caller_gave_no_key() {
    let commands = Scripted::new(succeed);
    let mut client = client(&commands).await;
    client.reserve_seats(reserve()).await.unwrap();
    let request = with_metadata(reserve(), &[("idempotency-key", "k-1")]);
    client.reserve_seats(request).await.unwrap();
    let new: Vec<bool> = commands.seen().iter().map(|request| request.has_new_id).collect();
    assert_eq!(new, [true, false]);
}

#[tokio::test]
async fn each_of_several_reservations_is_a_command_and_answered_for_itself() {
    let commands = Scripted::new(|request| {
        let CommandRequest { key, .. } = request;
        match named(&request.action).0.as_u128() {
            1 => succeed(request),
            2 => rejected(request, RejectionCode::NotOwner),
            3 => Ok(Answer::Pending { key: key.clone(), reservation_id: None }),
            _ => Err(CommandError::Unreadable { key: key.clone() }),
        }
    });
    let request = with_metadata(confirm([4, 3, 2, 1]), &[("idempotency-key", "k-1")]);
    let response = client(&commands).await.confirm_reservations(request).await.unwrap();
    let response = response.into_inner();
    assert_eq!((&*response.command_id, &*response.command_source), ("k-1", "/callers/shop"));
    let ids: Vec<_> = [4, 3, 2, 1].map(|number| (id(number), format!("k-1/{}", id(number)))).into();
    let results = response.results.into_iter();
    let (answered, results): (Vec<_>, Vec<_>) =
        results.map(|one| ((one.reservation_id, one.command_id), one.result.unwrap())).unzip();
    assert_eq!(answered, ids);
    let [Became::Failure(failed), Became::Pending(_), Became::Rejection(refused), rest] = &*results
    else {
        panic!("{results:?}")
    };
    assert_eq!(failed.status_code, i32::from(Code::Unavailable));
    assert_eq!(refused.code(), proto::RejectionCode::NotOwner);
    let Became::Reservation(confirmed) = rest else { panic!("{rest:?}") };
    assert_eq!(confirmed.reservation_id, id(1));
    let posted = commands.seen().into_iter().map(|request| request.key.id.to_string());
    assert_eq!(posted.collect::<Vec<_>>(), ids.into_iter().map(|(_, id)| id).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn each_of_several_reservations_counts_against_the_callers_rate() {
    let commands = Scripted::new(succeed);
    let mut client = client(&commands).await;
    assert!(client.confirm_reservations(confirm(1..=4)).await.is_ok());
    let refused = client.confirm_reservations(confirm(5..=8)).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(trailer(refused.metadata(), COMMAND_ID), Some("new"));
    let delay = refused.get_details_retry_info().unwrap().retry_delay.unwrap();
    tokio::time::advance(delay).await;
    assert!(client.confirm_reservations(confirm(5..=8)).await.is_ok());
    assert_eq!(commands.seen().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_no_rate_lets_pass_says_how_many_it_may_have() {
    let commands = Scripted::new(succeed);
    let error = client(&commands).await.confirm_reservations(confirm(1..=5)).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    let expected = "reservations: expected at most 4, as many as a caller's rate lets pass at once";
    assert_eq!(error.message(), expected);
    assert!(commands.seen().is_empty());
}

#[tokio::test]
async fn where_no_command_is_answered_the_call_fails() {
    let commands = Scripted::new(|request| {
        Err(CommandError::NotPosted { key: request.key.clone(), reason: "it did not answer" })
    });
    let one = |number| proto::ReservationToCancel {
        reservation_id: id(number),
        ..proto::ReservationToCancel::default()
    };
    let reservations = vec![one(1), one(2)];
    let request = proto::CancelReservationsRequest { pool: event(), reservations, group: None };
    let error = client(&commands).await.cancel_reservations(request).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(trailer(error.metadata(), COMMAND_ID), Some("new"));
    assert_eq!(commands.seen().len(), 2);
}

#[tokio::test]
async fn a_message_that_is_too_large_is_not_read() {
    let commands = Scripted::new(succeed);
    let seats = vec!["x".repeat(100); MESSAGE_BYTES_MAX / 100];
    let large = proto::ReserveSeatsRequest { seats, ..reserve() };
    let error = client(&commands).await.reserve_seats(large).await.unwrap_err();
    assert_eq!(error.code(), Code::OutOfRange);
    assert!(commands.seen().is_empty());
}

#[tokio::test]
async fn health_needs_no_caller_and_tells_of_the_drain() {
    let face = face(Scripted::new(succeed)).await;
    let serving = face.serving.clone();
    let client = InventoryServiceClient::new(router(face));
    let check = |client: &InventoryServiceClient<axum::Router>| {
        let mut client = client.clone();
        async move { client.health_check(proto::HealthCheckRequest {}).await.unwrap().into_inner() }
    };
    let expected = proto::HealthCheckResponse {
        status: proto::ServingStatus::Serving.into(),
        service: "inventory-worker".to_owned(),
        timestamp: Some(responses::timestamp(NOW.parse().unwrap())),
    };
    let answered = check(&client).await;
    assert_eq!((answered.status, answered.service), (expected.status, expected.service));
    assert!(answered.timestamp.unwrap().seconds >= expected.timestamp.unwrap().seconds);
    serving.stop().await;
    assert_eq!(check(&client).await.status(), proto::ServingStatus::NotServing);
}
