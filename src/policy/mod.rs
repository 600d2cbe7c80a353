//! Step 8 of the walk: may this token do what the route does? Pure.
//!
//! A [`Policy`] is an expression over scope, evaluated per route after the layer. Whatever the
//! route asks for, a token without a scope claim has no scope, and a policy that asks for nothing
//! cannot be written by accident: `all_of` and `any_of` of nothing panic where they are written.
//!
//! A [`Requirement`] is a policy and checks of the API's own. Checks come last and can only refuse:
//! they are no part of the expression, so no `any_of` can turn one into a grant.
//!
//! ```
//! use tower_resource_server::{all_of, any_of, scope};
//!
//! let read = scope("notes:read");
//! let edit = all_of(["notes:read", "notes:write"]);
//! let either = any_of([edit, scope("notes:admin")]);
//! # let _ = (read, either);
//! ```

pub(crate) mod expression;
mod requirement;
#[cfg(test)]
mod tests;

pub use expression::{Policy, all_of, any_of, authenticated, user};
pub use requirement::Requirement;
#[cfg(feature = "remote")]
pub use requirement::introspected_now;
#[cfg(feature = "axum")]
pub(crate) use requirement::wrong_claims_type;
