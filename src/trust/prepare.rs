//! Turns issuers as configured into issuers that judge.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::crypto::{AlgorithmSet, KeyFault, VerificationKey};
#[cfg(feature = "remote")]
use crate::fetch::MAX_DEADLINE;
#[cfg(feature = "remote")]
use crate::introspection::{Context, Introspecting};
use crate::issuer::{Issuer, KeyConfig, PLACEHOLDER, TENANT};
#[cfg(feature = "remote")]
use crate::keys::{BearerFile, JwksPlaces, MAX_PLACES};
use crate::keys::{KeySet, KeySetFault, KeySettings, Keys, RemoteKeys, Source};
#[cfg(feature = "remote")]
use crate::observe::log;
use crate::observe::shown::shown;
use crate::server::Settings;
use crate::token::Excerpt;
use crate::trust::Trust;
use crate::trust::issuer::TrustedIssuer;
use crate::trust::tenants::{TenantSettings, Tenants};
use crate::url::{check_issuer, check_normal, is_http_loopback};
#[cfg(feature = "remote")]
use crate::url::{check_url, is_exact_host};

/// How far clocks may differ at most: "a few minutes" (RFC 9068 §4).
const MAX_LEEWAY: Duration = Duration::from_secs(300);

impl Settings {
    /// What is trusted when `issuers` and `audiences` are. Issuers of `previous` whose keys come from
    /// the same place keep their engine, and with it the keys at hand.
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
        // The first is the realm of challenges, at least.
        if self.resolver.is_none() && issuers.iter().all(|issuer| !issuer.audiences.is_empty()) {
            for audience in audiences.iter().skip(1) {
                if !issuers.iter().any(|issuer| issuer.audiences.contains(audience)) {
                    problems.push(format!(
                        "audience `{}`: has no effect, since each issuer has audiences of its own",
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
                // The first that is named so judges, so the rules of a later one would never count. A
                // tenant with rules of its own comes before its template.
                let stands_for = |earlier: &Arc<TrustedIssuer>| earlier.is_named(spelling);
                if !names.insert(spelling.clone()) || trusted.iter().any(stands_for) {
                    problem("is trusted twice; an issuer is one value with one set of rules");
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
        #[cfg(feature = "remote")]
        if problems.is_empty() {
            issuers.iter().for_each(|issuer| self.warn_of_http(issuer));
        }
        #[cfg(feature = "remote")]
        check_opaque(&trusted, problems);
        let tenants = self.tenants(audiences, &trusted, generation, previous);
        let names = trusted_names(&trusted, tenants.is_some());
        Trust { generation, issuers: trusted, names, tenants }
    }

    /// The tenants that the resolver finds. Those that had a valid token are known already, with their
    /// keys.
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
            // Its subjects would be those of an issuer that never vouched for them.
            let mut spellings = std::iter::once(&issuer.name).chain(&issuer.aliases);
            if spellings.any(|name| configured.iter().any(|own| own.is_named(name))) {
                problem("has a name of a configured issuer");
            }
            #[cfg(feature = "remote")]
            let is_new = known.is_none();
            let known = known.into_iter();
            // Nobody has vouched for the name yet.
            let warm = false;
            let prepared =
                settings.trusted(issuer, &audiences, generation, known, warm, &mut problem);
            #[cfg(feature = "remote")]
            if is_new && problems.is_empty() {
                settings.warn_of_http(issuer);
            }
            prepared.filter(|_| problems.is_empty()).ok_or_else(|| problems.join("; "))
        };
        let clock = Arc::clone(&self.clock);
        let before = previous.and_then(|trust| trust.tenants.as_deref());
        Some(Tenants::new(tenant_settings, resolver, Box::new(prepare), clock, before))
    }

    fn check_audience(&self, audience: &str, problem: &mut impl FnMut(&str)) {
        if audience.is_empty() {
            problem("audience ``: must not be empty");
        }
        // OAuth 2.1 §1.5; another identifier than a URL (a URN, a name) is as good.
        let http = audience.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:"));
        if http && !(self.allow_http_loopback && is_http_loopback(audience)) {
            problem(&format!("audience `{}`: must be https", shown(audience)));
        }
    }

    /// One issuer, ready to judge.
    fn trusted<'a>(
        &self,
        issuer: &Issuer,
        audiences: &[String],
        #[cfg_attr(not(feature = "remote"), allow(unused_variables))] generation: u64,
        previous: impl Iterator<Item = &'a TrustedIssuer>,
        keep_warm: bool,
        problem: &mut impl FnMut(&str),
    ) -> Option<TrustedIssuer> {
        self.check_name(issuer, problem);
        // An alias is compared and never fetched from; servers write other things than URLs.
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
        #[cfg(feature = "remote")]
        self.check_transport(issuer, problem);
        #[cfg(feature = "remote")]
        if let Some(deadline) = issuer.transport.deadline
            && (deadline.is_zero() || deadline > MAX_DEADLINE)
        {
            problem(&format!(
                "fetch_deadline {deadline:?}: more than zero, at most {MAX_DEADLINE:?}"
            ));
        }
        let algorithms = accepted_algorithms(issuer, problem);
        let (keys, of_keys) = match self.keys(issuer, algorithms, previous, keep_warm) {
            Ok(keys) => (keys, None),
            Err(text) => {
                problem(&text);
                // Nothing is judged by it: it is there so that what follows is checked as well.
                (Keys::Static(Arc::new(KeySet::empty())), Some(text))
            }
        };
        issuer.profile.problems().iter().for_each(|text| problem(text));
        let audiences = if issuer.audiences.is_empty() { audiences } else { &issuer.audiences };
        #[cfg_attr(not(feature = "remote"), allow(unused_mut))]
        let mut trusted = TrustedIssuer {
            name: issuer.name.as_str().into(),
            aliases: issuer.aliases.iter().map(|alias| alias.as_str().into()).collect(),
            audiences: audiences.iter().map(|audience| audience.as_str().into()).collect(),
            algorithms,
            older_names: issuer.older_names,
            tenants: issuer.tenants.clone(),
            profile: issuer.profile.clone(),
            leeway: leeway.as_secs(),
            source: issuer.keys.clone(),
            #[cfg(feature = "remote")]
            transport: issuer.transport.clone(),
            keys,
            #[cfg(feature = "remote")]
            introspection: None,
        };
        #[cfg(feature = "remote")]
        {
            // The same client can't be made twice, and it is said once.
            let mut problem = |text: &str| {
                let is_new =
                    |of_keys: &String| text.strip_prefix("introspection: ") != Some(of_keys);
                if of_keys.as_ref().is_none_or(is_new) {
                    problem(text);
                }
            };
            trusted.introspection = self.introspection(issuer, &trusted, generation, &mut problem);
        }
        of_keys.is_none().then_some(trusted)
    }

    /// What is needed to ask the issuer about tokens. Answers under another generation are never
    /// used, so nothing is taken over from the one before.
    #[cfg(feature = "remote")]
    fn introspection(
        &self,
        issuer: &Issuer,
        trusted: &TrustedIssuer,
        generation: u64,
        problem: &mut impl FnMut(&str),
    ) -> Option<Introspecting> {
        let introspection = issuer.introspection.as_ref()?;
        if issuer.tenants.is_some() {
            problem("introspection: one server for all tenants would be told of none of them");
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
        });
        match built {
            Ok(introspecting) => Some(introspecting),
            Err(texts) => {
                texts.iter().for_each(|text| problem(&format!("introspection: {text}")));
                None
            }
        }
    }

    /// The issuer's name. Only one that is fetched from, or that stands for names in tokens, has to be
    /// a URL; any other is compared with `iss` as bytes.
    fn check_name(&self, issuer: &Issuer, problem: &mut impl FnMut(&str)) {
        let allow_http = issuer.plain_http(self.allow_http_loopback);
        let checked = match &issuer.tenants {
            Some(_) => {
                check_template(issuer, problem);
                let named = issuer.name.replace(TENANT, PLACEHOLDER);
                check_normal(&named, allow_http)
            }
            None if issuer.name.contains(TENANT) => {
                return problem("has a place for the tenant; see `Issuer::tenants`");
            }
            None if issuer.is_fetched_from() => check_issuer(&issuer.name, allow_http).map(|_| ()),
            None if issuer.name.is_empty() => return problem("must not be empty"),
            None => return,
        };
        if let Err(fault) = checked {
            problem(&fault.to_string().replace(PLACEHOLDER, TENANT));
        }
    }

    fn keys<'a>(
        &self,
        issuer: &Issuer,
        algorithms: AlgorithmSet,
        mut previous: impl Iterator<Item = &'a TrustedIssuer>,
        keep_warm: bool,
    ) -> Result<Keys, String> {
        let same_place = |known: &&TrustedIssuer| {
            *known.name == *issuer.name
                && known.source.is_same(&issuer.keys)
                && is_reached_alike(known, issuer)
        };
        let known = previous.find(same_place);
        // Without keys, a seed is better than what the engine before it can do.
        if let Some(known) = known
            && known.algorithms == algorithms
            && (known.keys.is_usable() || issuer.seed.is_none())
        {
            return Ok(known.keys.clone());
        }
        let remote = |source| {
            let clock = Arc::clone(&self.clock);
            Keys::Remote(Arc::new(RemoteKeys::new(
                &issuer.name,
                algorithms,
                source,
                clock,
                KeySettings {
                    deadline: fetch_deadline(issuer),
                    ..self.key_settings(issuer.seed.clone(), keep_warm)
                },
            )))
        };
        let keys = match &issuer.keys {
            KeyConfig::Jwks(document) => KeySet::parse(document, algorithms)
                .map(|set| Keys::Static(Arc::new(set)))
                .map_err(|KeySetFault(text)| format!("jwks: {text}")),
            KeyConfig::Pem(pem) => one_key(crate::keys::pem(pem, algorithms), "pem"),
            KeyConfig::Der(der) => one_key(crate::keys::der(der, algorithms), "der"),
            KeyConfig::Secret(secret, algorithm) => {
                one_key(VerificationKey::secret(secret, *algorithm), "secret")
            }
            KeyConfig::File(path) if path.as_os_str().is_empty() => {
                Err("file ``: must not be empty".to_owned())
            }
            KeyConfig::File(path) => Ok(remote(Source::file(path))),
            KeyConfig::Source(source) => Ok(remote(Source::User(Arc::clone(source)))),
            KeyConfig::Discover | KeyConfig::JwksUris(_) => {
                self.remote_source(issuer, algorithms).map(remote)
            }
        };
        if let (Ok(keys), Some(known)) = (&keys, known) {
            keys.take_over(&known.keys);
            // The seed can't be used, which does not end a fetch in progress.
            if known.algorithms == algorithms && !keys.is_usable() {
                known.keys.note_seed_of(keys);
                return Ok(known.keys.clone());
            }
        }
        keys
    }

    #[cfg(feature = "remote")]
    fn remote_source(&self, issuer: &Issuer, accepted: AlgorithmSet) -> Result<Source, String> {
        let mut settings = self.client(issuer);
        let plain_http = issuer.plain_http(self.allow_http_loopback);
        if let KeyConfig::JwksUris(uris) = &issuer.keys {
            if uris.is_empty() || uris.len() > MAX_PLACES {
                return Err(format!("jwks_uris: {} URLs; from 1 to {MAX_PLACES}", uris.len()));
            }
            for uri in uris {
                let url = check_url(uri, plain_http)
                    .map_err(|fault| format!("jwks_uri `{}`: {fault}", shown(uri)))?;
                settings.tls.is_needed |= url.scheme() == "https";
            }
            let client = crate::fetch::Client::new(&settings)?;
            let bearer = issuer.transport.bearer_token_file.as_deref().map(BearerFile::new);
            if let [uri] = uris.as_slice() {
                return Ok(Source::JwksUri { client, uri: uri.clone(), bearer });
            }
            let places = JwksPlaces::new(uris, accepted, self.stale_if_error);
            return Ok(Source::JwksUris { client, places, bearer });
        }
        let metadata_url = issuer.transport.metadata_url.as_deref();
        // A name, or URL, that is none is reported where it is checked.
        let url = match metadata_url {
            Some(url) => check_url(url, plain_http),
            None => check_issuer(&issuer.name, plain_http),
        };
        settings.tls.is_needed = url.is_ok_and(|url| url.scheme() == "https");
        let client = crate::fetch::Client::new(&settings)?;
        let discovery = crate::fetch::Discovery::new(&issuer.name, metadata_url, client.clone());
        Ok(Source::Discovery(client, Arc::new(discovery)))
    }

    /// How the issuer is reached.
    #[cfg(feature = "remote")]
    fn check_transport(&self, issuer: &Issuer, problem: &mut impl FnMut(&str)) {
        check_bearer(issuer, problem);
        for host in issuer.transport.http_hosts.iter().filter(|host| !is_exact_host(host)) {
            problem(&format!(
                "danger::allow_http_hosts `{}`: is not the exact name of one host, in lower case and \
                 without scheme, port and wildcard",
                shown(host)
            ));
        }
        if let Some(url) = &issuer.transport.metadata_url
            && let Err(fault) = check_url(url, issuer.plain_http(self.allow_http_loopback))
        {
            problem(&format!("metadata_url `{}`: {fault}", shown(url)));
        }
    }

    /// What may go by http to other machines is said at the start, once for each host.
    #[cfg(feature = "remote")]
    fn warn_of_http(&self, issuer: &Issuer) {
        let hosts = &issuer.transport.http_hosts;
        let mut told = HashSet::new();
        for host in hosts.iter().filter(|host| told.insert(host.as_str())) {
            log::http_is_allowed(&issuer.name, host);
        }
        let goes_by_http = |url: &String| {
            let is_http = |url: url::Url| url.scheme() == "http";
            check_url(url, issuer.plain_http(false)).is_ok_and(is_http)
        };
        let jwks_uris = match &issuer.keys {
            KeyConfig::JwksUris(uris) => uris.as_slice(),
            _ => &[],
        };
        if issuer.transport.bearer_token_file.is_some() && jwks_uris.iter().any(goes_by_http) {
            log::secret_by_http(&issuer.name, "the token of `bearer_token_file`");
        }
        // What metadata names is known only later, and may be one of the hosts.
        let may_go = |endpoint: &Option<String>| match endpoint {
            Some(url) => goes_by_http(url),
            None => !hosts.is_empty(),
        };
        if issuer.introspection.as_ref().is_some_and(|own| may_go(&own.endpoint)) {
            let what = "what authenticates this server to the introspection endpoint, and each token \
                        that is introspected";
            log::secret_by_http(&issuer.name, what);
        }
    }

    #[cfg(not(feature = "remote"))]
    fn remote_source(&self, _: &Issuer, _: AlgorithmSet) -> Result<Source, String> {
        Err("its keys are remote: give them in code, or turn on the feature `remote`".to_owned())
    }

    /// How this issuer is reached; whether TLS is needed depends on what is asked.
    #[cfg(feature = "remote")]
    fn client(&self, issuer: &Issuer) -> crate::fetch::ClientSettings {
        let mut settings = self.client.clone();
        settings.allow_http_loopback = self.allow_http_loopback;
        settings.http_hosts.clone_from(&issuer.transport.http_hosts);
        settings.tls.is_possible = !settings.http_hosts.is_empty();
        if !issuer.transport.roots.is_empty() {
            settings.tls.root_certificates.clone_from(&issuer.transport.roots);
            settings.tls.only_these_roots = true;
        }
        settings.deadline = issuer.transport.deadline;
        if issuer.transport.no_proxy {
            settings.proxy = None;
        }
        settings
    }
}

/// How many trusted issuers the log names where a token is of none of them.
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
        names.push("those of the resolver".to_owned());
    }
    Excerpt::of_own(names.join(" "))
}

fn check_template(issuer: &Issuer, problem: &mut impl FnMut(&str)) {
    if issuer.name.matches(TENANT).count() != 1 {
        problem("tenants: the name needs one `{tenantid}`");
    } else if matches!(issuer.keys, KeyConfig::Discover) && issuer.is_fetched_from() {
        problem("tenants: such a name has no metadata; give the keys, by `jwks_uri` say");
    } else if !issuer.aliases.is_empty() {
        problem("tenants: an alias would belong to no tenant");
    }
}

/// How long an attempt to fetch keys may take, where that is set: the metadata and the keys.
#[cfg(feature = "remote")]
fn fetch_deadline(issuer: &Issuer) -> Option<Duration> {
    issuer.transport.deadline.map(|one| one.saturating_mul(2))
}

#[cfg(not(feature = "remote"))]
fn fetch_deadline(_: &Issuer) -> Option<Duration> {
    None
}

/// An engine fetches as it was told to when it was made, so other roots or another token file need
/// another one.
#[cfg(feature = "remote")]
fn is_reached_alike(known: &TrustedIssuer, issuer: &Issuer) -> bool {
    known.transport == issuer.transport
}

#[cfg(not(feature = "remote"))]
fn is_reached_alike(_: &TrustedIssuer, _: &Issuer) -> bool {
    true
}

#[cfg(feature = "remote")]
fn check_bearer(issuer: &Issuer, problem: &mut impl FnMut(&str)) {
    match &issuer.transport.bearer_token_file {
        None => {}
        Some(path) if path.as_os_str().is_empty() => {
            problem("bearer_token_file ``: must not be empty");
        }
        Some(_) if matches!(issuer.keys, KeyConfig::JwksUris(_)) => {}
        Some(_) => problem(
            "bearer_token_file: needs `jwks_uri`; the token goes to a URL that is configured, never \
             to one that metadata names",
        ),
    }
}

/// A token that names no issuer goes to one authorization server: sent to several, each would learn
/// the tokens of the others.
#[cfg(feature = "remote")]
fn check_opaque(issuers: &[Arc<TrustedIssuer>], problems: &mut Vec<String>) {
    let is_opaque = |issuer: &&Arc<TrustedIssuer>| {
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

/// The allow-list (RFC 8725 §3.1): that of the issuer, or what its kind of key allows.
fn accepted_algorithms(issuer: &Issuer, problem: &mut impl FnMut(&str)) -> AlgorithmSet {
    let secret = match &issuer.keys {
        KeyConfig::Secret(_, algorithm) => Some(*algorithm),
        _ => None,
    };
    let Some(listed) = &issuer.algorithms else {
        return secret.map_or(AlgorithmSet::DEFAULT, |own| AlgorithmSet::EMPTY.with(own));
    };
    let algorithms: AlgorithmSet = listed.iter().copied().collect();
    if algorithms.is_empty() {
        problem("algorithms: an empty list accepts nothing");
    }
    for algorithm in algorithms.iter() {
        match secret {
            None if algorithm.is_hmac() => problem(&format!(
                "algorithm {algorithm}: only with a secret configured by `Issuer::secret`"
            )),
            Some(own) if own != algorithm => {
                problem(&format!("algorithm {algorithm}: the secret serves {own}"));
            }
            _ => {}
        }
    }
    algorithms
}

fn one_key(key: Result<VerificationKey, KeyFault>, setting: &str) -> Result<Keys, String> {
    key.map(|key| Keys::Static(Arc::new(KeySet::single(key))))
        .map_err(|KeyFault(text)| format!("{setting}: {text}"))
}
