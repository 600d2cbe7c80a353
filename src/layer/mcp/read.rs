//! Reads the body of a request, up to a maximum size and within a deadline.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body;

use crate::error::Error;
use crate::runtime;

/// The largest body that is read, in bytes. It is rmcp's own default limit.
pub(super) const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// How long a client may take to send a body. Large bodies on slow networks take seconds. This deadline uses real time,
/// even if a test sets its own clock.
const READ_DEADLINE: Duration = Duration::from_secs(30);

/// Reads a whole body.
///
/// # Errors
/// If the body is too large, if it breaks off before its end, or if the client does not send the whole body in time.
pub(super) async fn read<B: Body<Data = Bytes>>(
    body: B,
) -> Result<(Bytes, Option<HeaderMap>), Error> {
    runtime::within(READ_DEADLINE, read_all(body)).await.unwrap_or(Err(Error::MessageTooSlow))
}

async fn read_all<B: Body<Data = Bytes>>(body: B) -> Result<(Bytes, Option<HeaderMap>), Error> {
    let too_large = || Error::MessageTooLarge { limit: MAX_MESSAGE };
    let mut body = pin!(body);
    if body.size_hint().lower() > MAX_MESSAGE as u64 {
        return Err(too_large());
    }
    let (mut read, mut trailers) = (BytesMut::new(), None);
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let unreadable = || Error::MalformedMessage { problem: "its end did not arrive" };
        match frame.map_err(|_| unreadable())?.into_data() {
            Ok(data) if data.len() > MAX_MESSAGE.saturating_sub(read.len()) => {
                return Err(too_large());
            }
            Ok(data) => read.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Ok((read.freeze(), trailers))
}
