//! Converts configured issuers to trusted issuers. A tenant is an issuer that the resolver finds at run
//! time, when a token names it.

mod issuer;
mod keys;
#[cfg(feature = "http-client")]
mod reach;

use std::collections::HashSet;
use std::sync::Arc;

use crate::issuer::Issuer;
use crate::observe::shown::shown;
use crate::token::Excerpt;
use crate::trust::Trust;
use crate::trust::issuer::TrustedIssuer;
use crate::trust::settings::TrustSettings;
use crate::trust::tenants::{TenantSettings, Tenants};
use crate::url::is_http_loopback;

impl TrustSettings {
    /// Converts `issuers` and `audiences`, and reports every problem. `previous` is the configuration
    /// before a reload. If an issuer has the same source of keys in both configurations, it keeps its
    /// cached keys.
    pub(crate) fn trust(
        self: &Arc<Self>,
        issuers: &[Issuer],
        audiences: &[String],
        previous: Option<&Trust>,
        problems: &mut Vec<String>,
    ) -> Trust {
        if issuers.is_empty() && self.resolver.is_none() {
            problems.push("issuer: at least one is needed".to_owned());
        }
        if audiences.is_empty() {
            problems.push("audience: at least one is needed".to_owned());
        }
        for audience in audiences {
            self.check_audience(audience, &mut |text: &str| problems.push(text.to_owned()));
        }
        // The first audience is always used: it is the default realm of challenges.
        if self.resolver.is_none() && issuers.iter().all(|issuer| !issuer.audiences.is_empty()) {
            for audience in audiences.iter().skip(1) {
                if !issuers.iter().any(|issuer| issuer.audiences.contains(audience)) {
                    problems.push(format!(
                        "audience `{}`: has no effect, because each issuer has its own audiences",
                        shown(audience)
                    ));
                }
            }
        }
        let generation = previous.map_or(0, |trust| trust.generation + 1);
        let mut names = HashSet::new();
        let mut trusted = Vec::new();
        for issuer in issuers {
            let name = shown(&issuer.name);
            let mut problem = |text: &str| problems.push(format!("issuer `{name}`: {text}"));
            for spelling in std::iter::once(&issuer.name).chain(&issuer.aliases) {
                // The first issuer with a matching name is used, so a later issuer with the same name
                // would have no effect. A template matches the names of all its tenants. So an issuer
                // for one tenant must come before the template.
                let stands_for = |earlier: &Arc<TrustedIssuer>| earlier.is_named(spelling);
                if !names.insert(spelling.clone()) || trusted.iter().any(stands_for) {
                    problem("is trusted twice; configure each name and each alias only once");
                }
            }
            let known = previous.iter().flat_map(|trust| &trust.issuers).map(|issuer| &**issuer);
            let keep_warm = self.keep_warm;
            let issuer =
                self.trusted(issuer, audiences, generation, known, keep_warm, &mut problem);
            if let Some(issuer) = issuer {
                trusted.push(Arc::new(issuer));
            }
        }
        #[cfg(feature = "http-client")]
        if problems.is_empty() {
            issuers.iter().for_each(|issuer| self.warn_of_http(issuer));
        }
        #[cfg(feature = "http-client")]
        check_opaque(issuers, problems);
        let tenants = self.tenants(audiences, &trusted, generation, previous);
        let names = trusted_names(&trusted, tenants.is_some());
        Trust { generation, issuers: trusted, names, tenants }
    }

    /// Creates the tenants of the resolver. Returns `None` if there is no resolver. Confirmed tenants
    /// of the previous configuration are kept, with their keys, if the resolver still allows them and
    /// if they have no problem in the new configuration. A tenant is confirmed if one of its tokens was
    /// verified.
    fn tenants(
        self: &Arc<Self>,
        audiences: &[String],
        configured: &[Arc<TrustedIssuer>],
        generation: u64,
        previous: Option<&Trust>,
    ) -> Option<Arc<Tenants>> {
        let resolver = Arc::clone(self.resolver.as_ref()?);
        let (settings, audiences) = (Arc::clone(self), audiences.to_vec());
        let configured = configured.to_vec();
        let keep_warm = self.keep_warm;
        let tenant_settings = TenantSettings {
            generation,
            most: self.max_tenants.max(1),
            keep_warm,
            allow_http_loopback: self.allow_http_loopback,
        };
        let prepare = move |issuer: &Issuer, known: Option<&TrustedIssuer>| {
            let mut problems = Vec::new();
            let mut problem = |text: &str| problems.push(text.to_owned());
            // A tenant must not have the name of a configured issuer. Otherwise the tenant could issue
            // tokens for the subjects of the configured issuer.
            let mut spellings = std::iter::once(&issuer.name).chain(&issuer.aliases);
            if spellings.any(|name| configured.iter().any(|own| own.is_named(name))) {
                problem("has a name of a configured issuer");
            }
            #[cfg(feature = "http-client")]
            let is_new = known.is_none();
            let known = known.into_iter();
            // Keep-warm refreshes keys by a timer. Only confirmed tenants need keep-warm, and the
            // caller turns it on for them.
            let warm = false;
            let prepared =
                settings.trusted(issuer, &audiences, generation, known, warm, &mut problem);
            #[cfg(feature = "http-client")]
            if is_new && problems.is_empty() {
                settings.warn_of_http(issuer);
            }
            prepared.filter(|_| problems.is_empty()).ok_or_else(|| problems.join("; "))
        };
        let told = (Arc::clone(&self.clock), self.stream.clone());
        let before = previous.and_then(|trust| trust.tenants.as_deref());
        Some(Tenants::new(tenant_settings, resolver, Box::new(prepare), told, before))
    }

    pub(super) fn check_audience(&self, audience: &str, problem: &mut impl FnMut(&str)) {
        if audience.is_empty() {
            problem("audience ``: must not be empty");
        }
        // OAuth 2.1 §1.5: a URL must use https. An audience that is not a URL is allowed, for example a
        // URN.
        let http = audience.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:"));
        if http && !(self.allow_http_loopback && is_http_loopback(audience)) {
            problem(&format!("audience `{}`: must be https", shown(audience)));
        }
    }
}

/// The maximum number of names in a log line about a token of an untrusted issuer. The line shows the
/// names and the aliases of trusted issuers.
const MAX_NAMED: usize = 5;

/// The names of the trusted issuers, for the log.
fn trusted_names(issuers: &[Arc<TrustedIssuer>], has_resolver: bool) -> Excerpt {
    let named = |name: &str| Excerpt::of_url(name).as_str().to_owned();
    let names = issuers.iter().flat_map(|issuer| {
        let aliases = issuer.aliases.iter().map(|alias| named(alias));
        std::iter::once(named(&issuer.name)).chain(aliases)
    });
    let mut names: Vec<_> = names.collect();
    let more = names.len().saturating_sub(MAX_NAMED);
    names.truncate(MAX_NAMED);
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    if has_resolver {
        names.push("and the issuers of the resolver".to_owned());
    }
    Excerpt::of_own(names.join(" "))
}

/// Checks that tokens without `iss` are introspected by at most one authorization server. With two such
/// servers, each server would see tokens that the other server issued.
#[cfg(feature = "http-client")]
fn check_opaque(issuers: &[Issuer], problems: &mut Vec<String>) {
    let is_opaque = |issuer: &&Issuer| {
        issuer.introspection.as_ref().is_some_and(|introspection| introspection.opaque)
    };
    for issuer in issuers.iter().filter(is_opaque).skip(1) {
        problems.push(format!(
            "issuer `{}`: introspection: opaque tokens go to another issuer already; see \
             `Introspection::not_for_opaque_tokens`",
            shown(&issuer.name)
        ));
    }
}
