//! Forwarding for a store that wraps another and intercepts some of its ports.

/// Implements store ports by forwarding to the wrapped store:
/// `forward_store!(Wrapper => field: ScanStore, AttemptStore);`
#[macro_export]
macro_rules! forward_store {
    ($wrapper:ty => $($field:tt).+: $port:ident, $($more:ident),+) => {
        $crate::forward_store!($wrapper => $($field).+: $port);
        $crate::forward_store!($wrapper => $($field).+: $($more),+);
    };
    ($wrapper:ty => $($field:tt).+: ReadStore) => {
        #[async_trait::async_trait]
        impl $crate::ports::ReadStore for $wrapper {
            async fn load(
                &self,
                wanted: &$crate::ports::LoadRequest,
            ) -> Result<$crate::ports::ReadSet, $crate::ports::PortError> {
                self.$($field).+.load(wanted).await
            }

            async fn ping(&self) -> Result<(), $crate::ports::PortError> {
                self.$($field).+.ping().await
            }
        }
    };
    ($wrapper:ty => $($field:tt).+: ScanStore) => {
        #[async_trait::async_trait]
        impl $crate::ports::ScanStore for $wrapper {
            async fn scan(
                &self,
                table: $crate::ports::Table,
                from: Option<&$crate::ports::PageCursor>,
            ) -> Result<$crate::ports::Page, $crate::ports::PortError> {
                self.$($field).+.scan(table, from).await
            }

            async fn seats(
                &self,
                event_id: u64,
                from: Option<&$crate::ports::PageCursor>,
                limit: usize,
            ) -> Result<$crate::ports::Page, $crate::ports::PortError> {
                self.$($field).+.seats(event_id, from, limit).await
            }

            async fn lines(
                &self,
                pool: &$crate::domain::PoolId,
                from: Option<&$crate::ports::PageCursor>,
                limit: usize,
            ) -> Result<$crate::ports::Page, $crate::ports::PortError> {
                self.$($field).+.lines(pool, from, limit).await
            }
        }
    };
    ($wrapper:ty => $($field:tt).+: ExpiryIndex) => {
        #[async_trait::async_trait]
        impl $crate::ports::ExpiryIndex for $wrapper {
            async fn expired(
                &self,
                query: &$crate::ports::ExpiryQuery,
            ) -> Result<$crate::ports::ExpiredPage, $crate::ports::PortError> {
                self.$($field).+.expired(query).await
            }
        }
    };
    ($wrapper:ty => $($field:tt).+: LeaseStore) => {
        #[async_trait::async_trait]
        impl $crate::ports::LeaseStore for $wrapper {
            async fn leases(
                &self,
                task: &str,
            ) -> Result<$crate::ports::Leases, $crate::ports::PortError> {
                self.$($field).+.leases(task).await
            }

            async fn replace_leases(
                &self,
                task: &str,
                version: u64,
                held: &[$crate::ports::Lease],
            ) -> Result<bool, $crate::ports::PortError> {
                self.$($field).+.replace_leases(task, version, held).await
            }
        }
    };
    ($wrapper:ty => $($field:tt).+: AttemptStore) => {
        #[async_trait::async_trait]
        impl $crate::ports::AttemptStore for $wrapper {
            async fn record_attempt(
                &self,
                message_id: &str,
                now: $crate::domain::Timestamp,
            ) -> Result<$crate::ports::Attempt, $crate::ports::PortError> {
                self.$($field).+.record_attempt(message_id, now).await
            }

            async fn undo_attempt(&self, message_id: &str) -> Result<(), $crate::ports::PortError> {
                self.$($field).+.undo_attempt(message_id).await
            }

            async fn note_dead_letter(
                &self,
                message_id: &str,
                now: $crate::domain::Timestamp,
            ) -> Result<(), $crate::ports::PortError> {
                self.$($field).+.note_dead_letter(message_id, now).await
            }

            async fn has_dead_letter(
                &self,
                message_id: &str,
            ) -> Result<bool, $crate::ports::PortError> {
                self.$($field).+.has_dead_letter(message_id).await
            }
        }
    };
}
