//! The header of a proof, with the client's key (RFC 9449 §4.2), and a cache of such headers.

use crate::crypto::{Algorithm, AlgorithmSet, VerificationKey};
use crate::error::Error;
use crate::sender::dpop::jwk;
use crate::token::Thumbprint;
use crate::token::header::{Header, media_type};
use crate::token::json::{Object, Value};
use crate::token::jwt::{JwtHead, VerifiedJwt};
use crate::token::memo::Memo;
#[cfg(test)]
use crate::token::memo::Seen;

/// The type of a proof (RFC 9449 §4.2).
const TYPE: &str = "dpop+jwt";

/// Clients often use new keys, for example one for each login. So even in a full cache, a new key must soon get a
/// slot.
const REPLACE_ONE_IN: u64 = 16;

/// The header of a proof. It passed all checks that need only the header.
pub(super) struct ProofHeader {
    algorithm: Algorithm,
    key: VerificationKey,
    pub(super) thumbprint: Thumbprint,
}

impl ProofHeader {
    /// Checks a header with these members. `algorithms` are the algorithms that the server accepts.
    fn read(
        header: &Header,
        members: &Object<'_>,
        algorithms: AlgorithmSet,
    ) -> Result<Self, Error> {
        let invalid = |problem| Error::InvalidProof { problem };
        if !header.typ.as_deref().is_some_and(|typ| media_type(typ).eq_ignore_ascii_case(TYPE)) {
            return Err(invalid("`typ` is not `dpop+jwt`"));
        }
        if !algorithms.contains(header.algorithm) {
            return Err(invalid("`alg` is not accepted for proofs"));
        }
        let Some(Value::Object(jwk)) = members.get("jwk") else {
            return Err(invalid("`jwk` is missing or not an object"));
        };
        let (key, thumbprint) = jwk::read(jwk, header.algorithm).map_err(invalid)?;
        Ok(Self { algorithm: header.algorithm, key, thumbprint })
    }

    /// Whether the key verifies the signature over `input`.
    pub(super) fn verify(&self, input: &[u8], signature: &[u8]) -> bool {
        self.key.verify(self.algorithm, input, signature)
    }
}

/// Reads the headers of proofs, and caches the headers of verified proofs. A client sends the same header with each
/// proof, so its key is usually imported and hashed only once.
///
/// A full cache has at most 12 MB: 1,024 headers of at most 4 KiB, each with a key of at most 8192 bits.
#[derive(Debug)]
pub(super) struct ProofHeaders {
    algorithms: AlgorithmSet,
    memo: Memo<ProofHeader>,
}

impl ProofHeaders {
    /// `algorithms` are the algorithms that the server accepts.
    pub(super) fn new(algorithms: AlgorithmSet) -> Self {
        let nothing = ProofHeader {
            algorithm: Algorithm::ES256,
            key: VerificationKey::placeholder(),
            thumbprint: Thumbprint::new([0; 32]),
        };
        Self { algorithms, memo: Memo::new(REPLACE_ONE_IN, nothing) }
    }

    /// Parses the header of a proof of at most `limit` bytes.
    ///
    /// # Errors
    /// What is wrong with the header, or with the form of the proof.
    pub(super) fn parse<'a>(
        &self,
        limit: usize,
        proof: &'a [u8],
    ) -> Result<JwtHead<'a, ProofHeader>, Error> {
        JwtHead::parse_with(limit, proof, Some(&self.memo), |header, members| {
            ProofHeader::read(&header, members, self.algorithms)
        })
    }

    /// Caches the header of a verified proof. The time of the proof is not checked yet, and the proof may have been
    /// used before.
    pub(super) fn remember(&self, proof: VerifiedJwt<'_, ProofHeader>) {
        proof.remember(&self.memo);
    }

    /// Whether the header of this proof comes from the cache.
    #[cfg(test)]
    pub(super) fn has(&self, proof: &str) -> bool {
        let head = self.parse(usize::MAX, proof.as_bytes());
        head.is_ok_and(|head| matches!(head.header, Seen::Known(_)))
    }
}
