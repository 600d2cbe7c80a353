//! Limits for fetched documents of all kinds.

/// The largest key set, from any source, or metadata document, in bytes. Real ones have 1 to 20
/// KiB; a set of 250 keys with their certificates has 400 KiB.
pub(crate) const MAX_DOCUMENT: usize = 512 * 1024;

#[cfg(feature = "http-client")]
/// The largest answer about a token, in bytes. A client can cause such an answer at any time. Real
/// ones have 1 KiB. Documents, which are fetched rarely, may have up to [`MAX_DOCUMENT`].
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// The document without a byte order mark, which RFC 8259 §8.1 allows a reader to ignore.
pub(crate) fn without_mark(document: &[u8]) -> &[u8] {
    document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document)
}
