//! What a fetched document may be, of whatever kind.

/// Bytes of a key set, wherever it comes from, or of metadata. Real ones have 1 to 20 KiB; a set of 250
/// keys with their certificates has 400.
pub(crate) const MAX_DOCUMENT: usize = 512 * 1024;

#[cfg(feature = "remote")]
/// Bytes of an answer about a token, which a client can cause at any time. Real ones have 1 KiB.
/// Documents, which are asked for seldom, have up to [`MAX_DOCUMENT`].
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// The document without a byte order mark, which RFC 8259 §8.1 lets a reader ignore.
pub(crate) fn without_mark(document: &[u8]) -> &[u8] {
    document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document)
}
