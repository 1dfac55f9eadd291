//! Routes that can be listed, so that the API's document can be held against them.

use axum::{
    Router,
    handler::Handler,
    http::Method,
    routing::{MethodFilter, on},
};

/// An operation of the HTTP API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its method. GET also answers HEAD.
    pub method: Method,
    /// Its path, with `{name}` for what is variable.
    pub path: &'static str,
}

/// A router, and what it routes.
pub(super) struct Routes<S> {
    pub(super) router: Router<S>,
    pub(super) listed: Vec<Route>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    pub(super) fn new() -> Self {
        Self { router: Router::new(), listed: Vec::new() }
    }

    pub(super) fn get<T: 'static>(self, path: &'static str, handler: impl Handler<T, S>) -> Self {
        self.with(Route { method: Method::GET, path }, MethodFilter::GET, handler)
    }

    pub(super) fn post<T: 'static>(self, path: &'static str, handler: impl Handler<T, S>) -> Self {
        self.with(Route { method: Method::POST, path }, MethodFilter::POST, handler)
    }

    pub(super) fn delete<T: 'static>(
        self,
        path: &'static str,
        handler: impl Handler<T, S>,
    ) -> Self {
        self.with(Route { method: Method::DELETE, path }, MethodFilter::DELETE, handler)
    }

    fn with<T: 'static>(
        mut self,
        route: Route,
        filter: MethodFilter,
        handler: impl Handler<T, S>,
    ) -> Self {
        let router = self.router.route(route.path, on(filter, handler));
        self.listed.push(route);
        Self { router, ..self }
    }
}
