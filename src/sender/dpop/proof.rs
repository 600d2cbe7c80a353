//! One proof: parses it, and verifies all that does not depend on the time (RFC 9449 §4.3).

use std::borrow::Borrow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::crypto::{AlgorithmSet, VerificationKey, are_equal, sha256, sha256_of};
use crate::error::Error;
use crate::sender::dpop::jwk;
use crate::sender::dpop::target::is_target;
use crate::token::header::{Header, media_type};
use crate::token::json::{Object, Value};
use crate::token::jwt::JwtHead;
use crate::token::memo::Memo;
use crate::token::{Excerpt, Thumbprint};

/// The maximum length of a proof in bytes. A proof with an RSA key of 8192 bits has some 3,600.
pub(super) const MAX_PROOF: usize = 4 * 1024;

/// The maximum length of a `jti` in bytes. Real ones have 16 to 36.
const MAX_JTI: usize = 256;

/// The type of a proof (RFC 9449 §4.2).
const TYPE: &str = "dpop+jwt";

/// The header of a proof, with its key. It passed all checks that need no more than the header.
pub(super) struct ProofHeader {
    header: Header,
    key: VerificationKey,
    thumbprint: Thumbprint,
}

impl ProofHeader {
    /// Checks a header with these members. `algorithms` are those that the server accepts.
    fn read(header: Header, members: &Object<'_>, algorithms: AlgorithmSet) -> Result<Self, Error> {
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
        Ok(Self { header, key, thumbprint })
    }

    /// Whether the signature over `input` is that of the key.
    fn verify(&self, input: &[u8], signature: &[u8]) -> bool {
        self.key.verify(self.header.algorithm, input, signature)
    }
}

impl Borrow<Header> for ProofHeader {
    fn borrow(&self) -> &Header {
        &self.header
    }
}

/// A cache of the headers of accepted proofs. A client sends the same header with each proof, so its key is imported
/// and hashed once.
///
/// A cache belongs to one set of accepted algorithms.
pub(super) fn header_memo() -> Memo<ProofHeader> {
    Memo::new(ProofHeader {
        header: Header::placeholder(),
        key: VerificationKey::placeholder(),
        thumbprint: Thumbprint::new([0; 32]),
    })
}

/// What a proof must be about.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) algorithms: AlgorithmSet,
    /// The cache of headers of proofs with these algorithms.
    pub(super) known: &'a Memo<ProofHeader>,
    /// The method of the request.
    pub(super) method: &'a str,
    /// The client's URL, in normal form.
    pub(super) target: &'a str,
    /// Whether the path of the request is that of the API alone.
    pub(super) is_root: bool,
    /// The text of the access token.
    pub(super) token: &'a [u8],
    /// The key that the token is bound to.
    pub(super) key: &'a Thumbprint,
}

/// A proof whose signature, method, URL, token and key were checked. Its time was not.
#[derive(Debug)]
pub(super) struct Proof {
    /// The hash that identifies the proof among those of all clients.
    pub(super) id: [u8; 32],
    /// When the client made it, in seconds since the epoch. Any finite number.
    pub(super) iat: f64,
    pub(super) nonce: Option<Box<str>>,
}

/// The members of a proof's claims.
struct Claims<'a> {
    jti: &'a str,
    htm: &'a str,
    htu: &'a str,
    iat: f64,
    ath: &'a str,
    nonce: Option<&'a str>,
}

impl<'a> Claims<'a> {
    fn read(claims: &'a Object<'_>) -> Result<Self, Error> {
        let text = |name, problem| {
            claims.get(name).and_then(Value::as_str).ok_or(Error::InvalidProof { problem })
        };
        let jti = text("jti", "`jti` is missing or not a string")?;
        if !(1..=MAX_JTI).contains(&jti.len()) {
            return Err(Error::InvalidProof { problem: "`jti` is empty or longer than 256 bytes" });
        }
        let iat = claims.get("iat").and_then(Value::as_f64).filter(|iat| iat.is_finite());
        let nonce = match claims.get("nonce") {
            None => None,
            Some(Value::String(nonce)) => Some(nonce.as_ref()),
            Some(_) => return Err(Error::InvalidProof { problem: "`nonce` is not a string" }),
        };
        Ok(Self {
            jti,
            htm: text("htm", "`htm` is missing or not a string")?,
            htu: text("htu", "`htu` is missing or not a string")?,
            iat: iat.ok_or(Error::InvalidProof { problem: "`iat` is missing or not a number" })?,
            ath: text("ath", "`ath` is missing or not a string")?,
            nonce,
        })
    }
}

/// Verifies a proof, in the order of RFC 9449 §4.3. Members that are not known are ignored.
///
/// # Errors
/// What is wrong with it.
pub(super) fn verify(proof: &[u8], about: &About<'_>) -> Result<Proof, Error> {
    let invalid = |problem| Error::InvalidProof { problem };
    let mut buffer = Vec::new();
    let read = |header, members: &Object<'_>| ProofHeader::read(header, members, about.algorithms);
    let head = JwtHead::parse_with(MAX_PROOF, proof, Some(about.known), read).map_err(as_proof)?;
    let jwt = head.open(&mut buffer).map_err(as_proof)?;
    Claims::read(&jwt.claims)?;
    let verified = jwt.verify(ProofHeader::verify);
    let verified = verified.map_err(|_| invalid("its signature is not that of its key"))?;
    let thumbprint = verified.header.thumbprint;
    let claims = Claims::read(&verified.claims)?;
    if claims.htm != about.method {
        return Err(invalid("`htm` is not the method of the request"));
    }
    if !is_target(claims.htu, about.target, about.is_root) {
        return Err(Error::ForeignProofUrl {
            found: Excerpt::of_url(claims.htu),
            expected: Excerpt::of_url(about.target),
        });
    }
    // RFC 9449 §4.2: of the text of the token, without its scheme.
    let mut ath = [0; 33];
    let length = URL_SAFE_NO_PAD.decode_slice(claims.ath, &mut ath).unwrap_or_default();
    if !are_equal(ath.get(..length).unwrap_or_default(), &sha256(about.token)) {
        return Err(invalid("`ath` is not the hash of the token"));
    }
    if thumbprint != *about.key {
        return Err(Error::ForeignProofKey);
    }
    // The URL in normal form: another spelling of it must not make the same proof a new one.
    let parts = [
        &thumbprint.octets()[..],
        claims.htm.as_bytes(),
        about.target.as_bytes(),
        claims.jti.as_bytes(),
    ];
    let nonce = claims.nonce.map(Into::into);
    let proof = Proof { id: sha256_of(&parts), iat: claims.iat, nonce };
    verified.remember(about.known);
    Ok(proof)
}

/// An error about a JWT, for a proof.
fn as_proof(error: Error) -> Error {
    Error::InvalidProof {
        problem: match error {
            Error::TokenTooLarge { .. } => "it is longer than 4 KiB",
            Error::MalformedToken { problem } | Error::InvalidProof { problem } => problem,
            Error::UnacceptedAlgorithm { .. } => "`alg` is not accepted for proofs",
            _ => "it is not one compact JWS",
        },
    }
}
