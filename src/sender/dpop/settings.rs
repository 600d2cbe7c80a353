//! The settings for tokens that are bound to a key of the client (DPoP).

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::crypto::{Algorithm, AlgorithmSet, EDDSA};
use crate::observe::shown::shown;
use crate::replay::Replay;
use crate::sender::dpop::checker::{Checker, DEFAULT_PAST, MAX_PAST, MIN_PAST};
use crate::sender::dpop::header::ProofHeaders;
use crate::sender::dpop::nonce::{MIN_KEY, NonceMaker};
use crate::sender::dpop::target::PublicUrl;

/// The settings for tokens that are bound to a key of the client (DPoP, RFC 9449), for
/// [`Builder::dpop`](crate::builder::Builder::dpop).
///
/// A client sends such a token with the scheme `DPoP`. With each request, the client also sends a proof: a
/// short-lived JWT that is signed with the key, and that names the method and the URL of the request. So a stolen
/// token is useless without the key.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_resource_server::keys::Algorithm;
/// use tower_resource_server::sender::{Dpop, Replay};
/// use tower_resource_server::test_issuer::{TestIssuer, TestProver};
/// use tower_resource_server::{Issuer, ResourceServer};
///
/// let issuer = TestIssuer::in_process("https://as.example.com");
/// let api = ResourceServer::builder()
///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
///     .audience("https://api.example.com")
///     .dpop(Dpop::optional("https://api.example.com", Replay::in_process()))
///     .build()?;
///
/// let client = TestProver::generate(Algorithm::ES256);
/// let token = issuer.token().bound_to_key(&client).sign();
/// let head = |proof: String| {
///     let request = http::Request::get("/notes")
///         .header("authorization", format!("DPoP {token}"))
///         .header("dpop", proof);
///     request.body(()).unwrap().into_parts().0
/// };
/// let proof = client.proof("GET", "https://api.example.com/notes").token(&token).sign();
/// let passed = api.authenticate(&head(proof.clone())).await.unwrap();
/// assert!(passed.token.is_sender_constrained());
///
/// // Each proof is accepted once.
/// let refusal = api.authenticate(&head(proof)).await.unwrap_err();
/// assert_eq!((refusal.status().as_u16(), refusal.error().code()), (401, "replayed_proof"));
///
/// // A thief has the token, and another key.
/// let thief = TestProver::generate(Algorithm::ES256);
/// let proof = thief.proof("GET", "https://api.example.com/notes").token(&token).sign();
/// let refusal = api.authenticate(&head(proof)).await.unwrap_err();
/// assert_eq!((refusal.status().as_u16(), refusal.error().code()), (401, "foreign_proof_key"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "give it to `Builder::dpop`"]
pub struct Dpop {
    public_url: String,
    mounted_at: Option<String>,
    replay: Replay,
    required: bool,
    algorithms: Option<AlgorithmSet>,
    past: Duration,
    nonces: Nonces,
}

impl Dpop {
    /// Accepts bound tokens, and tokens that are not bound.
    ///
    /// `public_url` is the URL of this API as clients write it: `https://api.example.com`, or
    /// `https://example.com/api` behind a proxy that removes `/api`. The path of each request is appended to this
    /// URL. The host is never taken from the request.
    ///
    /// `replay` is the store of used proofs. A proof is accepted only once, so all instances of an API must share
    /// one store: see [`Replay`].
    pub fn optional(public_url: impl Into<String>, replay: Replay) -> Self {
        Self {
            public_url: public_url.into(),
            mounted_at: None,
            replay,
            required: false,
            algorithms: None,
            past: DEFAULT_PAST,
            nonces: Nonces::off(),
        }
    }

    /// Accepts only tokens that are bound to a key. Other tokens get 401 `invalid_token`.
    ///
    /// To require this only for the tokens of one issuer, see [`Issuer::dpop`](crate::Issuer::dpop). To require it
    /// only on one route, see [`dpop_bound`](crate::policy::dpop_bound).
    pub fn required(public_url: impl Into<String>, replay: Replay) -> Self {
        Self { required: true, ..Self::optional(public_url, replay) }
    }

    /// The accepted algorithms of proofs. The default is every algorithm with a public key that this crate supports,
    /// except ML-DSA. ML-DSA proofs would be longer than the limit of 4 KiB.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// How old a proof may be, by its `iat`: 1 s to 300 s. The default is 60 s. Because clocks differ, the `iat` may
    /// also be up to 15 s in the future.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.past = age;
        self
    }

    /// Whether proofs need a nonce of this server. The default is [`Nonces::off`].
    pub fn nonces(mut self, nonces: Nonces) -> Self {
        self.nonces = nonces;
        self
    }

    /// The whole path prefix that the program removes from each request before this service sees the request, for
    /// example `/v1`. The prefix is added between the public URL and the path that this service sees.
    ///
    /// Nesting in axum (feature `axum`) does not need this setting, because axum's `OriginalUri` has the whole path.
    /// With this setting, `OriginalUri` is not read.
    pub fn mounted_at(mut self, path: impl Into<String>) -> Self {
        self.mounted_at = Some(path.into());
        self
    }

    pub(crate) fn is_required(&self) -> bool {
        self.required
    }

    /// The names of the algorithms, as challenges and metadata have them.
    pub(crate) fn algorithm_names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.accepted().iter().map(Algorithm::name).collect();
        // Older clients know only the name `EdDSA` (RFC 9864 §4.1.2).
        if names.contains(&Algorithm::Ed25519.name()) {
            names.push(EDDSA);
        }
        names
    }

    fn accepted(&self) -> AlgorithmSet {
        self.algorithms.unwrap_or(AlgorithmSet::DEFAULT)
    }

    pub(crate) fn set_algorithms_unless_set(&mut self, algorithms: AlgorithmSet) {
        self.algorithms.get_or_insert(algorithms);
    }

    /// The algorithms that are not in `allowed`.
    pub(crate) fn algorithms_beyond(&self, allowed: AlgorithmSet) -> Vec<Algorithm> {
        self.accepted().iter().filter(|own| !allowed.contains(*own)).collect()
    }

    /// Checks all settings, and builds the checker of proofs. `now` is the start time of a store in this process.
    pub(crate) fn build(
        &self,
        allow_http_loopback: bool,
        now: Duration,
        problems: &mut Vec<String>,
    ) -> Option<Checker> {
        let before = problems.len();
        let mut problem = |text: String| problems.push(format!("dpop: {text}"));
        let url = PublicUrl::new(&self.public_url, allow_http_loopback);
        let url = url.map_err(|fault| {
            problem(format!("the public URL `{}` {fault}", shown(&self.public_url)));
        });
        let mounted_at = self.mounted_at.as_deref().unwrap_or_default().trim_end_matches('/');
        let is_path = mounted_at.is_empty() || mounted_at.starts_with('/');
        // The path of a request has no other characters. With another character here, no proof would pass.
        let is_path = is_path && mounted_at.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_path || mounted_at.contains(['?', '#', '%', '\\']) || mounted_at.contains("/.") {
            problem(format!("mounted_at `{}`: must be a path in normal form", shown(mounted_at)));
        }
        for other in self.algorithms_beyond(AlgorithmSet::DEFAULT) {
            problem(format!("algorithm {other}: a proof cannot have it"));
        }
        if self.accepted().is_empty() {
            problem("algorithms: is empty".to_owned());
        }
        if !(MIN_PAST..=MAX_PAST).contains(&self.past) {
            problem(format!("max_age {:?}: must be from 1 s to 300 s", self.past));
        }
        let keys = self.nonces.keys.as_deref();
        if self.nonces.mode != Mode::Off && keys.is_none() && self.replay.is_shared() {
            problem(
                "nonces: the store of used proofs is shared, so all instances need the same \
                 `Nonces::keys`"
                    .to_owned(),
            );
        }
        if keys.is_some_and(<[_]>::is_empty) {
            problem("nonces: the list of keys is empty".to_owned());
        }
        for key in keys.into_iter().flatten().filter(|key| key.len() < MIN_KEY) {
            problem(format!("nonces: a key has {} octets, less than {MIN_KEY}", key.len()));
        }
        if !self.replay.is_some() && self.nonces.mode != Mode::Always {
            problem("without a store of used proofs, `Nonces::always` is needed".to_owned());
        }
        for text in self.replay.problems() {
            problem(text);
        }
        let nonces = match self.nonces.mode {
            Mode::Off => None,
            Mode::OnClockSkew | Mode::Always => {
                let maker = NonceMaker::new(
                    keys.unwrap_or_default(),
                    url.as_ref().map_or("", PublicUrl::text),
                );
                if maker.is_none() {
                    problem("nonces: the system has no randomness".to_owned());
                }
                maker
            }
        };
        let public_url = url.ok().filter(|_| problems.len() == before)?;
        // Clients write `iat` in whole seconds. Without nonces, a proof from the second in which the store starts
        // must pass.
        let start = if nonces.is_some() { now } else { Duration::from_secs(now.as_secs()) };
        Some(Checker {
            public_url,
            mounted_at: mounted_at.into(),
            replays: self.replay.start(start),
            required: self.required,
            headers: ProofHeaders::new(self.accepted()),
            past: self.past,
            always: self.nonces.mode == Mode::Always,
            nonces,
            in_process: self.replay.is_in_process(),
            last_failure: AtomicU64::new(0),
        })
    }
}

/// Whether proofs need a nonce of this server (RFC 9449 §9). A nonce shows that a proof is fresh, even if the
/// client's clock is wrong. A proof with a nonce cannot be made in advance.
///
/// A nonce is accepted for 60 to 120 s. The server does not store nonces. If a proof lacks a nonce that it needs,
/// or if its nonce is not accepted, the response is 401 with `error="use_dpop_nonce"` and a fresh nonce in
/// `DPoP-Nonce`. If the nonce is accepted but is no longer new, the response also has a fresh nonce.
///
/// A proof with an accepted nonce may have any `iat`, because the nonce shows how old the proof can be.
#[derive(Clone)]
pub struct Nonces {
    mode: Mode,
    /// `None` means one random key.
    keys: Option<Vec<Vec<u8>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Off,
    OnClockSkew,
    Always,
}

impl Nonces {
    /// Nonces are neither demanded nor read. A client whose clock is wrong is refused.
    ///
    /// When a store of used proofs is new, proofs that are older than the store are refused.
    pub fn off() -> Self {
        Self { mode: Mode::Off, keys: None }
    }

    /// Demands a nonce in two cases: only the time of a proof is wrong, or a proof may be older than the store of
    /// used proofs. So a client with a wrong clock can continue.
    ///
    /// For 15 s after the start of a store, a nonce is demanded for every proof without one, because the client's
    /// clock may be up to 15 s ahead.
    pub fn on_clock_skew() -> Self {
        Self { mode: Mode::OnClockSkew, keys: None }
    }

    /// Demands a nonce for every proof.
    pub fn always() -> Self {
        Self { mode: Mode::Always, keys: None }
    }

    /// The keys of nonces: at least 32 random octets each. All instances of an API need the same keys, so that each
    /// instance accepts the nonces of the others. The first key makes nonces, and every key checks them. To rotate,
    /// add the new key in the second place on all instances, then swap the two keys, then remove the old key.
    ///
    /// Without this setting, each process uses its own random key. If nonces are used and the store of used proofs
    /// can be shared by several processes, `build` requires this setting.
    pub fn keys<K: Into<Vec<u8>>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.keys = Some(keys.into_iter().map(Into::into).collect());
        self
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces")
            .field("mode", &self.mode)
            .field("keys", &self.keys.as_ref().map(Vec::len))
            .finish_non_exhaustive()
    }
}

/// Whether the tokens of one issuer are bound to a key of the client, for [`Issuer::dpop`](crate::Issuer::dpop).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DpopUse {
    /// Tokens of this issuer that are bound to a key are refused, as without
    /// [`Builder::dpop`](crate::builder::Builder::dpop).
    Off,
    /// Tokens of this issuer may be bound to a key, but need not be.
    Optional,
    /// Tokens of this issuer must be bound to a key.
    Required,
}
