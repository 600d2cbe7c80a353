//! Parses one proof, and makes all checks of RFC 9449 §4.3 that do not depend on the time.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::crypto::{are_equal, sha256, sha256_of};
use crate::error::Error;
use crate::sender::dpop::header::{ProofHeader, ProofHeaders};
use crate::sender::dpop::target::is_target;
use crate::token::json::{Object, Value};
use crate::token::{Excerpt, Thumbprint};

/// The maximum length of a proof in bytes. A proof with an RSA key of 8192 bits has about 3,600
/// bytes.
pub(super) const MAX_PROOF: usize = 4 * 1024;

/// The maximum length of a `jti` in bytes. Real clients send 16 to 36 bytes.
const MAX_JTI: usize = 256;

/// The request that a proof must fit.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    /// The method of the request.
    pub(super) method: &'a str,
    /// The URL that the client used, in normal form.
    pub(super) target: &'a str,
    /// Whether the path of the request is `/` or empty: the root of the API.
    pub(super) is_root: bool,
    /// The text of the access token.
    pub(super) token: &'a [u8],
    /// The key that the token is bound to.
    pub(super) key: &'a Thumbprint,
}

/// A proof whose signature, method, URL, token and key were checked. Its nonce and its time are not
/// checked yet.
#[derive(Debug)]
pub(super) struct Proof {
    /// The hash that identifies the proof among those of all clients.
    pub(super) id: [u8; 32],
    /// When the client made the proof, in seconds since the epoch: any finite number.
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

/// Makes the checks of RFC 9449 §4.3, except those of the nonce and the time. Unknown members are
/// ignored.
///
/// # Errors
/// The first check that fails.
pub(super) fn verify(
    proof: &[u8],
    headers: &ProofHeaders,
    about: &About<'_>,
) -> Result<Proof, Error> {
    let invalid = |problem| Error::InvalidProof { problem };
    let mut buffer = Vec::new();
    let head = headers.parse(MAX_PROOF, proof);
    let jwt = head.and_then(|head| head.open(&mut buffer)).map_err(as_proof)?;
    Claims::read(&jwt.claims)?;
    let verified = jwt.verify(ProofHeader::verify);
    let verified = verified.ok_or(invalid("its signature is not that of its key"))?;
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
    // RFC 9449 §4.2: `ath` is the hash of the token's text, without the scheme.
    let mut ath = [0; 33];
    let length = URL_SAFE_NO_PAD.decode_slice(claims.ath, &mut ath).unwrap_or_default();
    if !are_equal(ath.get(..length).unwrap_or_default(), &sha256(about.token)) {
        return Err(invalid("`ath` is not the hash of the token"));
    }
    if thumbprint != *about.key {
        return Err(Error::ForeignProofKey);
    }
    // The id contains the URL in normal form, so that a proof with another spelling of the URL has
    // the same id.
    let parts = [
        &thumbprint.octets()[..],
        claims.htm.as_bytes(),
        about.target.as_bytes(),
        claims.jti.as_bytes(),
    ];
    let nonce = claims.nonce.map(Into::into);
    let proof = Proof { id: sha256_of(&parts), iat: claims.iat, nonce };
    headers.remember(verified);
    Ok(proof)
}

/// Converts an error about a JWT to an error about a proof.
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
