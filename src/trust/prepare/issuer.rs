//! Converts one configured issuer to a [`TrustedIssuer`].

use std::sync::Arc;
use std::time::Duration;

use crate::crypto::AlgorithmSet;
#[cfg(feature = "http-client")]
use crate::fetch::MAX_DEADLINE;
#[cfg(feature = "http-client")]
use crate::introspection::{Context, Introspecting, Jwts};
use crate::issuer::{Issuer, KeyConfig};
use crate::keys::{KeySet, Keys};
#[cfg(feature = "dpop")]
use crate::sender::DpopUse;
use crate::tenant::{PLACEHOLDER, TENANT};
use crate::trust::issuer::TrustedIssuer;
use crate::trust::settings::TrustSettings;
use crate::url::{check_issuer, check_normal};

/// The maximum leeway for differences between clocks: "a few minutes" (RFC 9068 §4).
const MAX_LEEWAY: Duration = Duration::from_secs(300);

impl TrustSettings {
    /// Converts one issuer, and reports its invalid settings to `problem`. Returns `None` if the keys
    /// are invalid. The caller must not use the result if a problem was reported.
    pub(super) fn trusted<'a>(
        &self,
        issuer: &Issuer,
        audiences: &[String],
        #[cfg_attr(not(feature = "http-client"), allow(unused_variables))] generation: u64,
        previous: impl Iterator<Item = &'a TrustedIssuer>,
        keep_warm: bool,
        problem: &mut impl FnMut(&str),
    ) -> Option<TrustedIssuer> {
        self.check_name(issuer, problem);
        // An alias is only compared with `iss`. Nothing is fetched from an alias, so an alias need not
        // be a URL.
        if issuer.aliases.iter().any(String::is_empty) {
            problem("alias ``: must not be empty");
        }
        let leeway = issuer.leeway.unwrap_or(self.leeway);
        if leeway > MAX_LEEWAY {
            problem(&format!("leeway {leeway:?}: at most {MAX_LEEWAY:?} (RFC 9068 section 4)"));
        }
        for audience in &issuer.audiences {
            self.check_audience(audience, problem);
        }
        #[cfg(feature = "http-client")]
        self.check_transport(issuer, problem);
        #[cfg(feature = "http-client")]
        if let Some(deadline) = issuer.transport.deadline
            && (deadline.is_zero() || deadline > MAX_DEADLINE)
        {
            problem(&format!(
                "fetch_deadline {deadline:?}: must be more than zero and at most {MAX_DEADLINE:?}"
            ));
        }
        let algorithms = accepted_algorithms(issuer, self.is_fapi, problem);
        let (keys, of_keys) = match self.keys(issuer, algorithms, previous, keep_warm) {
            Ok(keys) => (keys, Vec::new()),
            Err(texts) => {
                texts.iter().for_each(|text| problem(text));
                // The keys are invalid, so the configuration is refused. This empty set never validates a
                // token. With this set, the checks below can run and report their problems, too.
                (Keys::Static(Arc::new(KeySet::empty())), texts)
            }
        };
        let (accepts_dpop, requires_dpop) = uses_of_dpop(issuer);
        if requires_dpop && !self.has_dpop {
            problem("dpop: is required, and the server accepts no proofs; see `Builder::dpop`");
        }
        if self.requires_dpop && !accepts_dpop {
            problem("dpop: is off, and the server requires proofs; see `Dpop::required`");
        }
        if self.is_fapi {
            check_fapi(issuer, algorithms, problem);
        }
        issuer.profile.problems().iter().for_each(|text| problem(text));
        let audiences = if issuer.audiences.is_empty() { audiences } else { &issuer.audiences };
        #[cfg_attr(not(feature = "http-client"), allow(unused_mut))]
        let mut trusted = TrustedIssuer {
            name: issuer.name.as_str().into(),
            aliases: issuer.aliases.iter().map(|alias| alias.as_str().into()).collect(),
            audiences: audiences.iter().map(|audience| audience.as_str().into()).collect(),
            algorithms,
            older_names: issuer.older_names,
            tenants: issuer.tenants.clone(),
            profile: issuer.profile.clone(),
            leeway: leeway.as_secs(),
            accepts_dpop,
            requires_dpop,
            source: issuer.keys.clone(),
            #[cfg(feature = "http-client")]
            transport: issuer.transport.clone(),
            keys,
            #[cfg(feature = "http-client")]
            introspection: None,
        };
        #[cfg(feature = "http-client")]
        {
            // Keys and introspection use the same client settings. So a problem with these settings
            // is found twice, but reported only once.
            let mut problem = |text: &str| {
                let own = text.strip_prefix("introspection: ");
                if !of_keys.iter().any(|text| own == Some(text)) {
                    problem(text);
                }
            };
            trusted.introspection = self.introspection(issuer, &trusted, generation, &mut problem);
        }
        of_keys.is_empty().then_some(trusted)
    }

    /// Builds the introspection engine of an issuer. The engine starts without cached answers, because an
    /// answer of the previous configuration is never used.
    #[cfg(feature = "http-client")]
    fn introspection(
        &self,
        issuer: &Issuer,
        trusted: &TrustedIssuer,
        generation: u64,
        problem: &mut impl FnMut(&str),
    ) -> Option<Introspecting> {
        let introspection = issuer.introspection.as_ref()?;
        if issuer.tenants.is_some() {
            problem(
                "introspection: not possible with a tenant template, because the endpoint can't \
                 distinguish the tenants",
            );
        }
        let built = introspection.build(Context {
            issuer: &trusted.name,
            generation,
            keys: &trusted.keys,
            algorithms: trusted.algorithms,
            older_names: trusted.older_names,
            leeway: Duration::from_secs(trusted.leeway),
            client: self.client(issuer),
            metadata_url: issuer.transport.metadata_url.as_deref(),
            clock: &self.clock,
            stream: &self.stream,
        });
        match built {
            Ok(introspecting) => Some(introspecting),
            Err(texts) => {
                texts.iter().for_each(|text| problem(&format!("introspection: {text}")));
                None
            }
        }
    }

    /// Checks the issuer's name. The name must be a URL in two cases: something is fetched from this
    /// URL, or the name is a template for the names of tenants. In all other cases, every name that is
    /// not empty is valid, because the name is only compared with `iss`, byte by byte.
    fn check_name(&self, issuer: &Issuer, problem: &mut impl FnMut(&str)) {
        let allow_http = issuer.plain_http(self.allow_http_loopback);
        let checked = match &issuer.tenants {
            Some(_) => {
                check_template(issuer, problem);
                let named = issuer.name.replace(TENANT, PLACEHOLDER);
                check_normal(&named, allow_http)
            }
            None if issuer.name.contains(TENANT) => {
                return problem(
                    "contains `{tenantid}`, so it is a template; see `Issuer::tenants`",
                );
            }
            None if issuer.is_fetched_from() => check_issuer(&issuer.name, allow_http).map(|_| ()),
            None if issuer.name.is_empty() => return problem("must not be empty"),
            None => return,
        };
        if let Err(fault) = checked {
            problem(&fault.to_string().replace(PLACEHOLDER, TENANT));
        }
    }
}

/// Whether tokens that are bound to a key are accepted, and whether all tokens must be bound to a key.
#[cfg(feature = "dpop")]
fn uses_of_dpop(issuer: &Issuer) -> (bool, bool) {
    match issuer.dpop {
        DpopUse::Off => (false, false),
        DpopUse::Optional => (true, false),
        DpopUse::Required => (true, true),
    }
}

#[cfg(not(feature = "dpop"))]
fn uses_of_dpop(_: &Issuer) -> (bool, bool) {
    (false, false)
}

/// Checks that an issuer meets FAPI 2.0 (Security Profile §5.3.4, §5.4.1). It is called if
/// [`Builder::fapi2`](crate::builder::Builder::fapi2) is set.
fn check_fapi(issuer: &Issuer, algorithms: AlgorithmSet, problem: &mut impl FnMut(&str)) {
    for other in algorithms.iter().filter(|own| !AlgorithmSet::FAPI.contains(*own)) {
        problem(&format!("fapi2: algorithm {other} is not allowed; PS256, ES256 and Ed25519 are"));
    }
    if !issuer.profile.is_of_rfc9068() {
        problem("fapi2: the profile accepts tokens whose `typ` is not `at+jwt`");
    }
    #[cfg(feature = "http-client")]
    let asks = issuer.introspection.as_ref().is_some_and(|own| {
        // A stale answer may be about a token that was revoked after the answer.
        own.jwts != Jwts::Validate && own.stale.is_zero()
    });
    #[cfg(not(feature = "http-client"))]
    let asks = false;
    if !asks {
        problem(
            "fapi2: revocation is not checked; set an `Introspection` that also introspects JWTs, with \
             `also_for_jwts` or `only`, and without `danger::accept_stale_answers`",
        );
    }
}

fn check_template(issuer: &Issuer, problem: &mut impl FnMut(&str)) {
    if issuer.name.matches(TENANT).count() != 1 {
        problem("tenants: the name must contain `{tenantid}` exactly once");
    }
    if matches!(issuer.keys, KeyConfig::Discover) && issuer.is_fetched_from() {
        problem("tenants: a template has no metadata; set the keys, for example with `jwks_uri`");
    }
    if !issuer.aliases.is_empty() {
        problem("tenants: a template can't have an alias");
    }
}

/// Returns the accepted algorithms (RFC 8725 §3.1). If the issuer's settings have a list, the result is
/// this list. Otherwise, if the key is a secret, the result is the algorithm of the secret. In all
/// other cases, the result is the default list, or the list of FAPI 2.0 if `is_fapi` is set. Also
/// reports a list that is empty or does not fit the keys.
fn accepted_algorithms(
    issuer: &Issuer,
    is_fapi: bool,
    problem: &mut impl FnMut(&str),
) -> AlgorithmSet {
    let secret = match &issuer.keys {
        KeyConfig::Secret(_, algorithm) => Some(*algorithm),
        _ => None,
    };
    let Some(listed) = &issuer.algorithms else {
        let all = if is_fapi { AlgorithmSet::FAPI } else { AlgorithmSet::DEFAULT };
        return secret.map_or(all, |own| AlgorithmSet::EMPTY.with(own));
    };
    let algorithms: AlgorithmSet = listed.iter().copied().collect();
    if algorithms.is_empty() {
        problem("algorithms: an empty list accepts nothing");
    }
    for algorithm in algorithms.iter() {
        match secret {
            None if algorithm.is_hmac() => problem(&format!(
                "algorithm {algorithm}: needs a secret, which `Issuer::secret` sets"
            )),
            Some(own) if own != algorithm => {
                problem(&format!("algorithm {algorithm}: the secret is for {own}"));
            }
            _ => {}
        }
    }
    algorithms
}
