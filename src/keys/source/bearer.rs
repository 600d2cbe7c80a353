//! The token that a key server requires.

use std::fmt;
use std::path::Path;

use http::HeaderValue;

use crate::keys::source::file::Reader;

/// Maximum size of a token file in bytes. The token of a service account has about 1 KiB.
const MAX_TOKEN_FILE: usize = 16 * 1024;

/// A file with a token. The file is read again for each fetch, because the platform that mounts the
/// file replaces it regularly.
pub(crate) struct BearerFile(Reader);

impl BearerFile {
    pub(crate) fn new(path: &Path) -> Self {
        Self(Reader::new(path, MAX_TOKEN_FILE))
    }

    /// `Authorization: Bearer` and the token (RFC 6750 §2.1). The value is secret and must not be
    /// logged.
    ///
    /// # Errors
    /// Fails if the file can't be read or does not contain a valid token. The message shows nothing
    /// of the file's content.
    pub(crate) async fn authorization(&self) -> Result<HeaderValue, String> {
        let content = self.0.read().await;
        let content = content.map_err(|problem| format!("bearer token file: {problem}"))?;
        bearer(content.trim_ascii())
            .ok_or_else(|| "bearer token file: it holds no token".to_owned())
    }
}

/// `Authorization: Bearer` and a token. Returns `None` if the text is not a valid b64token (RFC
/// 6750 §2.1): other text must not be sent to any server.
pub(crate) fn bearer(token: &[u8]) -> Option<HeaderValue> {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    if token.is_empty() || !token.iter().all(is_token) {
        return None;
    }
    let mut value = HeaderValue::from_bytes(&[b"Bearer ", token].concat()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl fmt::Debug for BearerFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BearerFile({:?})", self.0.path())
    }
}
