//! Builds the introspection engine of one issuer from its settings.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::clock::Clock;
use crate::crypto::AlgorithmSet;
use crate::fetch::Discovery;
use crate::fetch::{Client, ClientSettings, MAX_DEADLINE};
use crate::introspection::endpoint::client::{Endpoint, IntrospectionClient};
use crate::introspection::endpoint::credentials::Credentials;
use crate::introspection::endpoint::signed::SignedAnswers;
use crate::introspection::engine::cache::{AnswerCache, MAX_STALE, MAX_TTL};
use crate::introspection::engine::introspector::Introspector;
use crate::introspection::settings::{Introspection, Jwts};
use crate::introspection::shared::SharedAnswers;
use crate::keys::{BearerFile, Keys};
use crate::observe::Stream;
use crate::url::{check_url, is_https};

/// Introspection of one issuer's tokens, ready for use.
#[derive(Debug)]
pub(crate) struct Introspecting {
    pub(crate) engine: Arc<Introspector>,
    pub(crate) jwts: Jwts,
    /// Whether tokens that name no issuer are introspected by this engine.
    pub(crate) opaque: bool,
    pub(crate) audience_optional: bool,
}

/// The settings of the issuer that introspection needs.
pub(crate) struct Context<'a> {
    pub(crate) issuer: &'a Arc<str>,
    pub(crate) generation: u64,
    pub(crate) keys: &'a Keys,
    pub(crate) algorithms: AlgorithmSet,
    pub(crate) older_names: bool,
    pub(crate) leeway: Duration,
    /// The settings of the HTTP client. This module sets `is_needed` and `identity` of its TLS
    /// part.
    pub(crate) client: ClientSettings,
    /// The URL of the issuer's metadata, if the metadata is not at the well-known URLs.
    pub(crate) metadata_url: Option<&'a str>,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) stream: &'a Stream,
}

impl Introspection {
    /// Prepares the engine. It fetches nothing.
    ///
    /// # Errors
    /// Lists every invalid setting with its value.
    pub(crate) fn build(&self, context: Context<'_>) -> Result<Introspecting, Vec<String>> {
        let mut problems = Vec::new();
        if self.ttl > MAX_TTL {
            problems.push(format!("cache_ttl {:?}: at most {MAX_TTL:?}", self.ttl));
        }
        if self.stale > MAX_STALE {
            problems.push(format!("accept_stale_answers {:?}: at most {MAX_STALE:?}", self.stale));
        }
        if !self.stale.is_zero() && self.ttl.is_zero() {
            problems.push("accept_stale_answers: needs a `cache_ttl` above zero".to_owned());
        }
        if self.shared.is_some() && self.ttl.is_zero() {
            problems.push("shared_cache: needs a `cache_ttl` above zero".to_owned());
        }
        if !self.opaque && self.jwts == Jwts::Validate {
            problems.push(
                "not_for_opaque_tokens: JWTs are not introspected either, so no token is"
                    .to_owned(),
            );
        }
        if let Some(url) = &self.endpoint
            && let Err(fault) = check_url(url, context.client.plain_http())
        {
            problems.push(format!("endpoint `{}`: {fault}", crate::observe::shown::shown(url)));
        }
        if let (Some(url), Some(_)) = (&self.endpoint, self.auth.identity())
            && !is_https(url)
        {
            problems.push("mutual_tls: needs an `endpoint` that is https".to_owned());
        }
        if self.deadline.is_zero() || self.deadline > MAX_DEADLINE {
            let deadline = self.deadline;
            problems
                .push(format!("deadline {deadline:?}: more than zero, at most {MAX_DEADLINE:?}"));
        }
        self.check_parameters(&mut problems);
        let headers = self.headers(&mut problems);
        let audiences = self.signed_audiences();
        if self.signed && audiences.is_empty() {
            let text = "require_signed_answers: needs a client id or `signed_answer_audience`";
            problems.push(text.to_owned());
        }
        if self.answer_audiences.iter().any(String::is_empty) {
            problems.push("signed_answer_audience ``: must not be empty".to_owned());
        }
        let shared = self.shared(&context, &audiences).map_err(|text| problems.push(text));
        problems.extend(self.auth.unfilled());
        let credentials = self.auth.prepare(context.issuer).map_err(|text| {
            if !problems.contains(&text) {
                problems.push(text);
            }
        });
        let clients = self.clients(&context).map_err(|text| problems.push(text));
        let (Ok(credentials), Ok((http, endpoint)), Ok(shared), []) =
            (credentials, clients, shared, &*problems)
        else {
            return Err(problems);
        };
        let signed = self.signed.then(|| SignedAnswers {
            keys: context.keys.clone(),
            algorithms: context.algorithms,
            older_names: context.older_names,
            issuer: Arc::clone(context.issuer),
            audiences,
            leeway: context.leeway,
            deadline: self.deadline,
        });
        let clock = Arc::clone(context.clock);
        let bearer_file = match &credentials {
            Credentials::BearerFile(path) => Some(BearerFile::new(path)),
            _ => None,
        };
        let client = IntrospectionClient {
            http,
            endpoint,
            credentials,
            bearer_file,
            parameters: self.parameters.clone(),
            headers,
            deadline: self.deadline,
            signed,
            clock,
        };
        let engine = Introspector::new(
            Arc::clone(context.issuer),
            context.generation,
            client,
            AnswerCache::new(self.ttl, self.stale),
            shared,
            (Arc::clone(context.clock), context.stream.clone()),
            context.leeway,
        )
        .ok_or_else(|| vec!["the system has no randomness".to_owned()])?;
        Ok(Introspecting {
            engine: Arc::new(engine),
            jwts: self.jwts,
            opaque: self.opaque,
            audience_optional: self.audience_optional,
        })
    }

    fn check_parameters(&self, problems: &mut Vec<String>) {
        // RFC 7662 §2.1, RFC 6749 §2.3.1, RFC 7521 §4.2.
        const OWN: [&str; 6] = [
            "token",
            "token_type_hint",
            "client_id",
            "client_secret",
            "client_assertion",
            "client_assertion_type",
        ];
        let mut seen = HashSet::new();
        for (name, _) in &self.parameters {
            if name.is_empty() || OWN.contains(&name.as_str()) {
                problems.push(format!("form_parameter `{name}`: can't be set"));
            } else if !seen.insert(name) {
                // RFC 6749 §3.2: a parameter must not occur twice.
                let name = name.escape_debug();
                problems.push(format!("form_parameter `{name}`: is set twice"));
            }
        }
    }

    fn headers(&self, problems: &mut Vec<String>) -> HeaderMap {
        const OWN: [HeaderName; 12] = [
            header::ACCEPT,
            header::ACCEPT_ENCODING,
            header::AUTHORIZATION,
            header::CONNECTION,
            header::CONTENT_ENCODING,
            header::CONTENT_LENGTH,
            header::CONTENT_TYPE,
            header::HOST,
            header::PROXY_AUTHORIZATION,
            header::TE,
            header::TRANSFER_ENCODING,
            header::UPGRADE,
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let (Ok(name), Ok(mut value)) =
                (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str()))
            else {
                problems.push(format!("header `{}`: is not a header", name.escape_debug()));
                continue;
            };
            value.set_sensitive(true);
            if OWN.contains(&name) {
                problems.push(format!("header `{name}`: can't be set"));
            } else if headers.insert(&name, value).is_some() {
                problems.push(format!("header `{name}`: is set twice"));
            }
        }
        headers
    }

    /// The second cache tier. The keys of its entries are derived from all that an answer depends
    /// on besides the token: the server that we call, the client that calls, and the signatures
    /// that we accept.
    fn shared(
        &self,
        context: &Context<'_>,
        audiences: &[Box<str>],
    ) -> Result<Option<Arc<SharedAnswers>>, String> {
        let Some(cache) = &self.shared else { return Ok(None) };
        let (method, client) = self.auth.caller();
        let algorithms = format!("{:?} {}", context.algorithms, context.older_names);
        let mut parts = vec![context.issuer.as_bytes(), method.as_bytes(), client];
        let endpoint = match (&self.endpoint, context.metadata_url) {
            (Some(url), _) => ["configured", url],
            (None, Some(metadata_url)) => ["discovered at", metadata_url],
            (None, None) => ["discovered", ""],
        };
        parts.extend(endpoint.map(str::as_bytes));
        for (kind, pairs) in [("parameter", &self.parameters), ("header", &self.headers)] {
            for (name, value) in pairs {
                parts.extend([kind.as_bytes(), name.as_bytes(), value.as_bytes()]);
            }
        }
        if self.signed {
            parts.extend([b"signed", algorithms.as_bytes()]);
            parts.extend(audiences.iter().map(|audience| audience.as_bytes()));
        }
        SharedAnswers::new(
            cache,
            &parts,
            Arc::clone(context.issuer),
            self.ttl,
            self.stale,
            context.leeway,
            (Arc::clone(context.clock), context.stream.clone()),
        )
        .map(|shared| Some(Arc::new(shared)))
        .ok_or_else(|| "shared_cache: no keys can be derived from the secret".to_owned())
    }

    /// The names of this server in the `aud` of a signed answer (RFC 9701 §5).
    fn signed_audiences(&self) -> Vec<Box<str>> {
        if self.answer_audiences.is_empty() {
            self.auth.client_id().into_iter().map(Into::into).collect()
        } else {
            self.answer_audiences.iter().map(|audience| audience.as_str().into()).collect()
        }
    }

    /// The HTTP client and the endpoint that it calls. Metadata is fetched without our client
    /// certificate. If the keys are discovered through the same metadata, it is fetched once for
    /// both.
    fn clients(&self, context: &Context<'_>) -> Result<(Client, Endpoint), String> {
        let named = context.metadata_url.unwrap_or(context.issuer);
        let url = self.endpoint.as_deref().unwrap_or(named);
        let mut settings = context.client.clone();
        // An invalid URL is reported by the check of its setting.
        settings.tls.is_needed =
            check_url(url, settings.plain_http()).is_ok_and(|url| url.scheme() == "https");
        let endpoint = match &self.endpoint {
            Some(url) => Endpoint::Url(url.clone()),
            None => {
                let discovery = match context.keys.discovery() {
                    Some(discovery) => Arc::clone(discovery),
                    None => {
                        let http = Client::new(&settings)?;
                        Arc::new(Discovery::new(context.issuer, context.metadata_url, http))
                    }
                };
                Endpoint::Discovered { discovery, mutual_tls: self.auth.identity().is_some() }
            }
        };
        settings.deadline = Some(self.deadline);
        settings.tls.identity = self.auth.identity().map(<[u8]>::to_vec);
        // A client certificate needs TLS, whatever the scheme of the issuer is.
        settings.tls.is_needed |= settings.tls.identity.is_some();
        Ok((Client::new(&settings)?, endpoint))
    }
}
