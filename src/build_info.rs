//! What was built: version and revision, for `--version` and the metric `build_info`.

use std::sync::LazyLock;

/// The version of the package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that was built, as `INVENTORY_BUILD_REVISION` says at compile time; `unknown`
/// without it. The Dockerfile sets it.
pub const REVISION: &str = match option_env!("INVENTORY_BUILD_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

static VERSION_AND_REVISION: LazyLock<String> =
    LazyLock::new(|| format!("{VERSION} (revision {REVISION})"));

/// The version with its revision: `0.1.0 (revision 4c2f…)`.
#[must_use]
pub fn version_and_revision() -> &'static str {
    &VERSION_AND_REVISION
}
