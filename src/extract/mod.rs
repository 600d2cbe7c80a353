//! What axum handlers can take as arguments, besides [`AccessToken`](crate::AccessToken): a part of the token,
//! or the API's own user.
//!
//! Each extractor needs a layer of this crate around the handler. Without the layer, the response is 500, and
//! the log says how to fix it. For an anonymous request behind an optional layer, the response is 401; an
//! `Option` is `None`.
//!
//! | extractor | what the handler gets |
//! |---|---|
//! | [`AccessToken<C>`](crate::AccessToken), `Option<AccessToken<C>>` | the token, with claims of type `C` |
//! | `Claims<C>` | a copy of the claims |
//! | `Scopes` | the scope |
//! | `Subject` | the issuer and the subject; 403 if the token has no subject |
//! | `LoadedUser<U>`, `Option<LoadedUser<U>>` | what `ResourceServer::load_user` has loaded |
//! | [`RawToken`](crate::token::RawToken) | the text of the token; 500 without `keep_raw_tokens` |

#[cfg(feature = "axum")]
mod access_token;
#[cfg(feature = "axum")]
mod parts;
#[cfg(all(feature = "axum", feature = "http-client"))]
mod user;

#[cfg(feature = "http-client")]
pub use crate::users::LoadedUser;
#[cfg(feature = "axum")]
pub use parts::{Claims, HandlerClaims, Scopes, Subject};
