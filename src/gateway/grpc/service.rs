//! The calls of `inventory.v1.InventoryService`.

use async_trait::async_trait;
use tonic::{Request, Response, Status};

use super::{
    Face,
    calls::{self, Call},
    fields,
    proto::{self, inventory_service_server::InventoryService},
    requests, responses,
    results::{self, WatchResultsStream},
    watch::{self, WatchChangesStream},
};
use crate::{
    domain::Outcome,
    gateway::queries::{ReservationAnswer, SeatAnswer, Seats},
    telemetry::SERVICE,
};

#[async_trait]
impl InventoryService for Face {
    async fn get_available_seats(
        &self,
        request: Request<proto::GetAvailableSeatsRequest>,
    ) -> Result<Response<proto::GetAvailableSeatsResponse>, Status> {
        let caller = calls::caller(request.extensions())?;
        let message = request.get_ref();
        let (event_id, filter, page) = requests::available_seats(message)?;
        let Seats { seats, next_cursor, freshness } =
            self.queries.seats(caller, event_id, &filter, &page).await?;
        Ok(Response::new(proto::GetAvailableSeatsResponse {
            seats: seats.into_iter().map(|seat| responses::seat(event_id, seat)).collect(),
            next_page_token: next_cursor.unwrap_or_default(),
            as_of: Some(responses::timestamp(freshness.as_of)),
            now: Some(responses::timestamp(freshness.now)),
        }))
    }

    async fn get_seat(
        &self,
        request: Request<proto::GetSeatRequest>,
    ) -> Result<Response<proto::GetSeatResponse>, Status> {
        let caller = calls::caller(request.extensions())?;
        let key = requests::seat_key(request.get_ref())?;
        let SeatAnswer { key, seat, freshness } = self.queries.seat(caller, &key).await?;
        Ok(Response::new(proto::GetSeatResponse {
            seat: Some(responses::seat(key.event_id, seat)),
            now: Some(responses::timestamp(freshness.now)),
        }))
    }

    async fn get_reservation(
        &self,
        request: Request<proto::GetReservationRequest>,
    ) -> Result<Response<proto::GetReservationResponse>, Status> {
        let caller = calls::caller(request.extensions())?;
        let id = fields::text("reservation_id", &request.get_ref().reservation_id)?;
        let ReservationAnswer { reservation, freshness } =
            self.queries.reservation(caller, id).await?;
        Ok(Response::new(proto::GetReservationResponse {
            reservation: Some(responses::reservation(&reservation)),
            now: Some(responses::timestamp(freshness.now)),
        }))
    }

    async fn reserve_seats(
        &self,
        request: Request<proto::ReserveSeatsRequest>,
    ) -> Result<Response<proto::ReserveSeatsResponse>, Status> {
        let (call, message) = Call::read(self, request)?;
        let requested = requests::reserve(&message, &call.key);
        let reservation = Some(call.submit_for_reservation(requested).await?);
        let (command_id, command_source) = responses::identity(&call.key);
        let response = proto::ReserveSeatsResponse { reservation, command_id, command_source };
        Ok(Response::new(response))
    }

    async fn confirm_reservations(
        &self,
        request: Request<proto::ConfirmReservationsRequest>,
    ) -> Result<Response<proto::ConfirmReservationsResponse>, Status> {
        let (call, message) = Call::read(self, request)?;
        let results = call.submit_each(requests::confirm(&message)).await?;
        let (command_id, command_source) = responses::identity(&call.key);
        let response = proto::ConfirmReservationsResponse { results, command_id, command_source };
        Ok(Response::new(response))
    }

    async fn cancel_reservations(
        &self,
        request: Request<proto::CancelReservationsRequest>,
    ) -> Result<Response<proto::CancelReservationsResponse>, Status> {
        let (call, message) = Call::read(self, request)?;
        let results = call.submit_each(requests::cancel(&message)).await?;
        let (command_id, command_source) = responses::identity(&call.key);
        let response = proto::CancelReservationsResponse { results, command_id, command_source };
        Ok(Response::new(response))
    }

    async fn extend_reservation(
        &self,
        request: Request<proto::ExtendReservationRequest>,
    ) -> Result<Response<proto::ExtendReservationResponse>, Status> {
        let (call, message) = Call::read(self, request)?;
        let reservation = Some(call.submit_for_reservation(requests::extend(&message)).await?);
        let (command_id, command_source) = responses::identity(&call.key);
        let response = proto::ExtendReservationResponse { reservation, command_id, command_source };
        Ok(Response::new(response))
    }

    async fn restock(
        &self,
        request: Request<proto::RestockRequest>,
    ) -> Result<Response<proto::RestockResponse>, Status> {
        let (call, message) = Call::read(self, request)?;
        let decided = call.submit(requests::restock(&message)).await?;
        let Outcome::Restocked { restock, .. } = decided.outcome else {
            return Err(call.unexpected());
        };
        Ok(Response::new(responses::restock(restock, &call.key)))
    }

    type WatchChangesStream = WatchChangesStream;

    async fn watch_changes(
        &self,
        request: Request<proto::WatchChangesRequest>,
    ) -> Result<Response<WatchChangesStream>, Status> {
        let caller = calls::caller(request.extensions())?;
        let message = request.get_ref();
        let event_id = fields::event_id("event_id", message.event_id)?;
        let since = Some(&*message.resume_token).filter(|token| !token.is_empty());
        let opened = self.changes.open(caller, event_id, since).await?;
        Ok(Response::new(watch::stream(event_id, opened)))
    }

    type WatchResultsStream = WatchResultsStream;

    async fn watch_results(
        &self,
        request: Request<proto::WatchResultsRequest>,
    ) -> Result<Response<WatchResultsStream>, Status> {
        let caller = calls::caller(request.extensions())?;
        let filter = requests::results(request.get_ref())?;
        let opened = self.results.open(caller, filter)?;
        Ok(Response::new(results::stream(opened)))
    }

    async fn health_check(
        &self,
        _request: Request<proto::HealthCheckRequest>,
    ) -> Result<Response<proto::HealthCheckResponse>, Status> {
        let status = if self.serving.is_serving() {
            proto::ServingStatus::Serving
        } else {
            proto::ServingStatus::NotServing
        };
        Ok(Response::new(proto::HealthCheckResponse {
            status: status.into(),
            service: SERVICE.to_owned(),
            timestamp: Some(responses::timestamp(self.clock.now())),
        }))
    }
}
