//! The one way out to the network.
//!
//! Every request has a deadline, every answer a limit that is counted as it streams. Redirects are
//! not followed: where keys come from is configured, not suggested. Only https, or http on this
//! very machine, or to named hosts, where that was switched on. Answers are asked for without a content
//! coding, so that what is counted is what is read.

#[cfg(feature = "remote")]
mod answer;
#[cfg(feature = "remote")]
mod cache_control;
#[cfg(feature = "remote")]
mod cause;
#[cfg(feature = "remote")]
mod client;
#[cfg(feature = "remote")]
mod discovery;
mod document;
#[cfg(feature = "remote")]
mod error;
mod failure;
#[cfg(feature = "remote")]
mod names;
#[cfg(feature = "remote")]
mod pool;
#[cfg(feature = "remote")]
mod proxy;
#[cfg(feature = "remote")]
mod settings;

#[cfg(all(test, feature = "remote"))]
pub(crate) use answer::Answer;
#[cfg(feature = "remote")]
pub(crate) use answer::{FormAnswer, redirect_target};
#[cfg(feature = "remote")]
pub(crate) use client::{Client, Form};
#[cfg(feature = "remote")]
pub(crate) use discovery::Discovery;
#[cfg(feature = "remote")]
pub(crate) use document::MAX_BODY;
pub(crate) use document::MAX_DOCUMENT;
pub(crate) use document::without_mark;
#[cfg(feature = "remote")]
pub(crate) use error::{FetchError, fetched_url};
pub(crate) use failure::Failure;
#[cfg(feature = "remote")]
pub(crate) use settings::{ClientSettings, MAX_DEADLINE};
