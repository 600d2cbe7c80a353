//! Step 8 of a request: decides whether the token may use the route. The rules do no I/O.
//!
//! A [`Policy`] is an expression over the scope and the principal (user or client). Each route evaluates
//! its own policy, after the token is validated. A token without a scope claim has an empty scope. A
//! policy is never empty: `all_of` and `any_of` panic if the list is empty.
//!
//! A [`Requirement`] is a policy with user-supplied checks. The checks run last and can only refuse. They
//! are not part of the expression, so `any_of` cannot use a check to grant access.
//!
//! ```
//! use tower_resource_server::scope;
//! use tower_resource_server::policy::{all_of, any_of};
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
#[cfg(feature = "http-client")]
pub use requirement::introspected_now;
#[cfg(feature = "axum")]
pub(crate) use requirement::wrong_claims_type;
