//! The settings of a server that do not depend on its types of claims and bodies.

use crate::challenge::{ChallengeConfig, Challenges, is_error_uri, quoted};
use crate::credentials::TokenProtocol;
use crate::issuer::Issuer;
use crate::observe::shown::shown;
#[cfg(feature = "dpop")]
use crate::sender::Dpop;
use crate::server::certificates::Certificates;
use crate::token::{ScopeHierarchy, ScopeToken};
use crate::trust::TrustSettings;

/// The settings of one server.
pub(crate) struct Settings {
    pub(crate) issuers: Vec<Issuer>,
    pub(crate) audiences: Vec<String>,
    pub(crate) trust: TrustSettings,
    pub(crate) challenge: ChallengeSettings,
    pub(crate) query_token: bool,
    /// The audience that is the resource identifier.
    pub(crate) resource: Option<String>,
    /// The subprotocol that contains the token of a WebSocket handshake, if such tokens are
    /// accepted.
    pub(crate) websocket: Option<TokenProtocol>,
    pub(crate) certificates: Certificates,
    pub(crate) keep_raw_tokens: bool,
    pub(crate) strip_authorization: bool,
    /// Whether every token must be bound to a key or a certificate.
    pub(crate) requires_bound_tokens: bool,
    /// How proofs of keys are checked, if they are accepted.
    #[cfg(feature = "dpop")]
    pub(crate) dpop: Option<Dpop>,
    /// The rules about scopes that imply others.
    pub(crate) scopes: ScopeHierarchy,
    /// The problems that setters have found.
    pub(crate) problems: Vec<String>,
}

/// The settings of challenges.
pub(crate) struct ChallengeSettings {
    pub(crate) realm: Option<String>,
    pub(crate) scope: Vec<String>,
    pub(crate) config: ChallengeConfig,
}

impl Settings {
    pub(crate) fn new() -> Self {
        let config = ChallengeConfig { descriptions: true, ..ChallengeConfig::default() };
        Self {
            issuers: Vec::new(),
            audiences: Vec::new(),
            trust: TrustSettings::new(),
            challenge: ChallengeSettings { realm: None, scope: Vec::new(), config },
            query_token: false,
            resource: None,
            websocket: None,
            certificates: Certificates::default(),
            keep_raw_tokens: false,
            strip_authorization: false,
            requires_bound_tokens: false,
            #[cfg(feature = "dpop")]
            dpop: None,
            scopes: ScopeHierarchy::default(),
            problems: Vec::new(),
        }
    }
}

impl ChallengeSettings {
    /// Builds the server's challenges, and the base for the challenges of its routes.
    pub(crate) fn build(
        &self,
        audiences: &[String],
        problems: &mut Vec<String>,
    ) -> (ChallengeConfig, Option<Challenges>) {
        let mut config = self.config.clone();
        config.realm = match (&self.realm, audiences.first()) {
            (Some(realm), _) | (None, Some(realm)) => realm.clone(),
            (None, None) => String::new(),
        };
        if let Some(uri) = &config.error_uri
            && !is_error_uri(uri)
        {
            problems.push(format!("error_uri `{}`: must be an absolute URI", shown(uri)));
        }
        let mut scope = Vec::new();
        for text in &self.scope {
            match ScopeToken::parse(text) {
                Ok(token) => scope.push(token),
                Err(error) => {
                    problems.push(format!("challenge_scope `{}`: {error}", text.escape_debug()));
                }
            }
        }
        let before = problems.len();
        problems.extend(self.realm_problem(&config.realm));
        if problems.len() > before {
            // Leave out the invalid realm. Otherwise the check of each parameter would report the
            // realm again.
            config.realm.clear();
        }
        for param in &self.config.params {
            let params = vec![param.clone()];
            let alone = ChallengeConfig { params, ..config.clone() };
            let fault = Challenges::build(&alone, &[]).err();
            problems.extend(fault.map(|fault| format!("challenge_param: {}", escaped(&fault))));
        }
        match Challenges::build(&config, &scope) {
            Ok(challenges) if problems.len() == before => (config, Some(challenges)),
            Err(fault) if problems.len() == before => {
                problems.push(format!("challenge: {}", escaped(&fault)));
                (config, None)
            }
            _ => (config, None),
        }
    }

    /// Checks the realm. Its default is the first audience, which may be any text.
    fn realm_problem(&self, realm: &str) -> Option<String> {
        if quoted(realm).is_some() {
            return None;
        }
        let realm = shown(realm);
        Some(match self.realm {
            Some(_) => format!("realm `{realm}`: `realm` is not printable ASCII"),
            None => format!(
                "audience `{realm}`: `realm` is not printable ASCII, and is the first audience unless \
                 set: see `Builder::realm`"
            ),
        })
    }
}

fn escaped(text: &str) -> String {
    text.escape_debug().to_string()
}
