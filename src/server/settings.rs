//! What a server is set up with, whatever the types of its claims and bodies.

use std::sync::Arc;
use std::time::Duration;

use crate::challenge::{ChallengeConfig, Challenges, is_error_uri, quoted};
use crate::clock::{Clock, SystemClock};
use crate::issuer::{Issuer, IssuerResolver};
use crate::keys::{FreshnessSettings, KeySeed, KeySettings, STALE_IF_ERROR};
use crate::observe::Observer;
use crate::observe::shown::shown;
use crate::token::ScopeToken;
use crate::trust::MAX_TENANTS;

/// How far clocks may differ, unless set.
const DEFAULT_LEEWAY: Duration = Duration::from_secs(60);

/// The settings of one server.
pub(crate) struct Settings {
    pub(crate) issuers: Vec<Issuer>,
    pub(crate) resolver: Option<Arc<dyn IssuerResolver>>,
    pub(crate) audiences: Vec<String>,
    pub(crate) leeway: Duration,
    pub(crate) realm: Option<String>,
    pub(crate) challenge: ChallengeConfig,
    pub(crate) challenge_scope: Vec<String>,
    pub(crate) allow_http_loopback: bool,
    #[cfg(feature = "remote")]
    pub(crate) client: crate::fetch::ClientSettings,
    pub(crate) query_token: bool,
    pub(crate) stale_if_error: Duration,
    pub(crate) keep_warm: bool,
    pub(crate) max_tenants: usize,
    pub(crate) observer: Option<Observer>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) problems: Vec<String>,
}

impl Settings {
    pub(crate) fn new() -> Self {
        Self {
            issuers: Vec::new(),
            resolver: None,
            audiences: Vec::new(),
            leeway: DEFAULT_LEEWAY,
            realm: None,
            challenge: ChallengeConfig { descriptions: true, ..ChallengeConfig::default() },
            challenge_scope: Vec::new(),
            allow_http_loopback: false,
            #[cfg(feature = "remote")]
            client: crate::fetch::ClientSettings::default(),
            query_token: false,
            stale_if_error: STALE_IF_ERROR,
            keep_warm: false,
            max_tenants: MAX_TENANTS,
            observer: None,
            clock: Arc::new(SystemClock::new()),
            problems: Vec::new(),
        }
    }

    /// The challenges of the server, and what those of its routes start from.
    pub(crate) fn challenges(
        &self,
        problems: &mut Vec<String>,
    ) -> (ChallengeConfig, Option<Challenges>) {
        let mut config = self.challenge.clone();
        config.realm = match (&self.realm, self.audiences.first()) {
            (Some(realm), _) | (None, Some(realm)) => realm.clone(),
            (None, None) => String::new(),
        };
        if let Some(uri) = &config.error_uri
            && !is_error_uri(uri)
        {
            problems.push(format!("error_uri `{}`: must be an absolute URI", shown(uri)));
        }
        let mut scope = Vec::new();
        for text in &self.challenge_scope {
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
            // So that what is wrong with the parameters is found as well.
            config.realm.clear();
        }
        for param in &self.challenge.params {
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

    /// The realm is the first audience unless set, which may be any text.
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

    /// What the engine of an issuer's keys runs under.
    pub(crate) fn key_settings(&self, seed: Option<KeySeed>, keep_warm: bool) -> KeySettings {
        KeySettings {
            deadline: None,
            freshness: FreshnessSettings { stale_if_error: self.stale_if_error },
            keep_warm,
            observer: self.observer.clone(),
            seed,
        }
    }
}

fn escaped(text: &str) -> String {
    text.escape_debug().to_string()
}
