//! The token that a key server wants to see.

use std::fmt;
use std::path::Path;

use http::HeaderValue;

use crate::keys::file::Reader;

/// Bytes of a token file. A service account's token has about 1 KiB.
const MAX_TOKEN_FILE: usize = 16 * 1024;

/// A file with a token, read anew for each fetch, since who mounts it replaces it.
pub(crate) struct BearerFile(Reader);

impl BearerFile {
    pub(crate) fn new(path: &Path) -> Self {
        Self(Reader::new(path, MAX_TOKEN_FILE))
    }

    /// `Authorization: Bearer` and the token (RFC 6750 §2.1), never to be shown.
    ///
    /// # Errors
    /// In words that tell nothing of the file's content.
    pub(crate) async fn authorization(&self) -> Result<HeaderValue, String> {
        let content = self.0.read().await;
        let content = content.map_err(|problem| format!("bearer token file: {problem}"))?;
        let token = content.trim_ascii();
        // b64token: whatever else is in the file, it is not sent to anyone.
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
        if token.is_empty() || !token.iter().all(is_token) {
            return Err("bearer token file: it holds no token".to_owned());
        }
        let mut value = HeaderValue::from_bytes(&[b"Bearer ", token].concat())
            .map_err(|_| "bearer token file: it holds no token")?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for BearerFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BearerFile({:?})", self.0.path())
    }
}
