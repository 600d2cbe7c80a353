//! All HTTP requests of the crate.
//!
//! Every request has a deadline. Every answer has a size limit, which is checked while the answer
//! streams in. Redirects are not followed, because only the configuration and the metadata may
//! decide where keys come from. URLs must be https. http is possible only to this machine or to
//! named hosts, and only if the configuration allows it. Requests accept no content coding, so that
//! the size limit applies to the document itself.

#[cfg(feature = "http-client")]
mod answer;
#[cfg(feature = "http-client")]
mod cache_control;
#[cfg(feature = "http-client")]
mod cause;
#[cfg(feature = "http-client")]
mod client;
#[cfg(feature = "http-client")]
mod discovery;
mod document;
#[cfg(feature = "http-client")]
mod error;
mod failure;
#[cfg(feature = "http-client")]
mod names;
#[cfg(feature = "http-client")]
mod pool;
#[cfg(feature = "http-client")]
mod proxy;
#[cfg(feature = "http-client")]
mod settings;

#[cfg(all(test, feature = "http-client"))]
pub(crate) use answer::HttpAnswer;
#[cfg(feature = "http-client")]
pub(crate) use answer::{FormAnswer, redirect_target};
#[cfg(feature = "http-client")]
pub(crate) use client::{Client, Form};
#[cfg(feature = "http-client")]
pub(crate) use discovery::Discovery;
#[cfg(feature = "http-client")]
pub(crate) use document::MAX_BODY;
pub(crate) use document::MAX_DOCUMENT;
pub(crate) use document::{raw_members, without_mark};
#[cfg(feature = "http-client")]
pub(crate) use error::{FetchError, fetched_url};
pub(crate) use failure::Failure;
#[cfg(feature = "http-client")]
pub(crate) use settings::{ClientSettings, MAX_DEADLINE};
