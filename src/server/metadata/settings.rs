//! The settings of the metadata.

use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::challenge::DpopChallenge;
use crate::config_error::ConfigError;
use crate::policy::{Requirement, Routes};
use crate::server::handle::ResourceServer;
use crate::server::metadata::members::{Members, sorted};
use crate::server::metadata::resource::Resource;
use crate::server::metadata::service::MetadataService;
use crate::server::metadata::signed::{Signer, signed};
use crate::token::Claims;
use crate::url::{PlainHttp, check_issuer};

/// How long a client may cache the document, in seconds.
const MAX_AGE: u64 = 3_600;

/// A member of RFC 9728 §2.
const BOUND_TO_CERTIFICATES: &str = "tls_client_certificate_bound_access_tokens";

/// The metadata of a protected resource (RFC 9728 §2). [`ResourceServer::metadata`] creates this value.
///
/// | member | comes from |
/// |---|---|
/// | `resource` | [`Builder::resource`](crate::builder::Builder::resource) |
/// | `authorization_servers` | the names of the issuers, in their order, or [`authorization_servers`](Self::authorization_servers) |
/// | `scopes_supported` | [`requirement`](Self::requirement), [`routes`](Self::routes), [`scopes`](Self::scopes) |
/// | `authorization_details_types_supported` | [`requirement`](Self::requirement), [`routes`](Self::routes), [`authorization_details_types`](Self::authorization_details_types) |
/// | `dpop_signing_alg_values_supported`, `dpop_bound_access_tokens_required` | `Builder::dpop` |
/// | `tls_client_certificate_bound_access_tokens` | `Builder::client_certificate_header`; [`certificate_bound_tokens`](Self::certificate_bound_tokens) |
/// | `bearer_methods_supported` | `header`, and `query` if [`Builder::query_token`](crate::builder::Builder::query_token) is set; [`form_tokens`](Self::form_tokens), [`without_bearer_methods`](Self::without_bearer_methods) |
/// | all others | the setter of the same name |
///
/// A member without a value is left out (RFC 9728 §3.2).
///
/// ```
/// use serde_json::json;
/// use tower_resource_server::policy::{Requirement, all_of, role};
/// use tower_resource_server::{Issuer, ResourceServer, scope};
///
/// # let jwks = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
/// let api = ResourceServer::builder()
///     .issuer(Issuer::new("https://as.example.com").jwks(jwks))
///     .resource("https://api.example.com/notes")
///     .build()?;
/// let metadata = api
///     .metadata()
///     .requirement(all_of(["notes:read", "notes:write"]))
///     .requirement(Requirement::from(all_of([scope("audit"), role("auditor")])).hidden())
///     .resource_name("Notes")
///     .resource_name_in("de", "Notizen")
///     .build()?;
///
/// assert_eq!(
///     serde_json::from_str::<serde_json::Value>(metadata.json())?,
///     json!({
///         "resource": "https://api.example.com/notes",
///         "authorization_servers": ["https://as.example.com"],
///         "scopes_supported": ["notes:read", "notes:write"],
///         "bearer_methods_supported": ["header"],
///         "resource_name": "Notes",
///         "resource_name#de": "Notizen",
///     })
/// );
/// let url = "https://api.example.com/.well-known/oauth-protected-resource/notes";
/// assert_eq!(metadata.url(), url);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "metadata is served after `build`"]
pub struct ResourceMetadata<C = Claims> {
    resource: Option<Arc<Resource>>,
    /// The names of the configured issuers that can be published.
    issuers: Vec<String>,
    authorization_servers: AuthorizationServers,
    query_token: bool,
    form_tokens: bool,
    without_bearer_methods: bool,
    scopes: Vec<String>,
    left_out: Vec<String>,
    details_types: Vec<String>,
    members: Members,
    signer: Option<Signer>,
    max_age: u64,
    claims: PhantomData<fn(&C)>,
}

/// Which authorization servers are listed.
enum AuthorizationServers {
    /// The configured issuers.
    Issuers,
    Listed(Vec<String>),
    None,
}

impl<C, R> ResourceServer<C, R> {
    /// The metadata of the API (RFC 9728): a public document that clients use to find the authorization
    /// server. [`ResourceMetadata`] has an example. The manual says
    /// [how to serve it](crate::manual::metadata).
    ///
    /// The document lists the issuers that the server trusts at the time of this call. A later
    /// [`reload`](Self::reload) does not change the document.
    pub fn metadata(&self) -> ResourceMetadata<C> {
        let allow_http_loopback = self.shared.trust.allow_http_loopback;
        // Only issuer identifiers are published (RFC 8414 §2). A template is not an issuer identifier, and
        // neither is a name that is not a URL.
        let trust = self.authenticator().trust.load();
        let issuers = trust.issuers.iter().filter(|issuer| {
            #[cfg(feature = "http-client")]
            let hosts = issuer.transport.http_hosts.as_slice();
            #[cfg(not(feature = "http-client"))]
            let hosts = &[];
            let plain_http = PlainHttp { loopback: allow_http_loopback, hosts };
            issuer.tenants.is_none() && check_issuer(&issuer.name, plain_http).is_ok()
        });
        let issuers = issuers.map(|issuer| issuer.name.to_string()).collect();
        let mut members = Members { allow_http_loopback, ..Members::default() };
        #[cfg(feature = "http-client")]
        for issuer in &trust.issuers {
            members.http_hosts.extend(issuer.transport.http_hosts.iter().cloned());
        }
        if let Some(DpopChallenge { algs, alone }) = &self.id().challenge.dpop {
            let algs = algs.split(' ').map(str::to_owned).collect();
            members.set_list("dpop_signing_alg_values_supported", algs);
            members.set_flag("dpop_bound_access_tokens_required", *alone);
        }
        members.set_flag(BOUND_TO_CERTIFICATES, self.certificates().have_header());
        ResourceMetadata {
            resource: self.shared.resource.clone(),
            issuers,
            authorization_servers: AuthorizationServers::Issuers,
            query_token: self.shared.query_token,
            form_tokens: false,
            without_bearer_methods: false,
            scopes: Vec::new(),
            left_out: Vec::new(),
            details_types: Vec::new(),
            members,
            signer: None,
            max_age: MAX_AGE,
            claims: PhantomData,
        }
    }
}

impl<C> ResourceMetadata<C> {
    /// Lists the scopes and the types of `authorization_details` in a route's requirement, from all branches
    /// of its policy. A [hidden](Requirement::hidden) requirement adds nothing.
    pub fn requirement(mut self, requirement: impl Into<Requirement<C>>) -> Self {
        self.add(&requirement.into());
        self
    }

    /// Does the same as [`requirement`](Self::requirement), for all routes of a table.
    pub fn routes(mut self, routes: &Routes<C>) -> Self {
        routes.table.values().for_each(|requirement| self.add(requirement));
        self
    }

    fn add(&mut self, requirement: &Requirement<C>) {
        if requirement.is_hidden() {
            return;
        }
        for branch in requirement.branches() {
            self.scopes.extend(branch.scopes().iter().map(ToString::to_string));
            self.details_types.extend(branch.details_types().into_iter().map(str::to_owned));
        }
    }

    /// Lists more scopes, for example those that only a handler requires.
    pub fn scopes<T: Into<String>>(mut self, scopes: impl IntoIterator<Item = T>) -> Self {
        self.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Leaves a scope out, even if a requirement lists it. `scopes_supported` may be incomplete (RFC 9728
    /// §2).
    pub fn without_scope(mut self, scope: impl Into<String>) -> Self {
        self.left_out.push(scope.into());
        self
    }

    /// Lists more types of `authorization_details` (RFC 9396).
    pub fn authorization_details_types<T: Into<String>>(
        mut self,
        types: impl IntoIterator<Item = T>,
    ) -> Self {
        self.details_types.extend(types.into_iter().map(Into::into));
        self
    }

    /// Lists these authorization servers instead of the configured issuers. Each is an issuer identifier:
    /// an https URL without a query (RFC 8414 §2), or an http URL if `danger::allow_http_hosts` of a configured
    /// issuer names its host. Use this setting for the tenants of a template or of a resolver, because tenants
    /// are not listed automatically.
    pub fn authorization_servers<T: Into<String>>(
        mut self,
        issuers: impl IntoIterator<Item = T>,
    ) -> Self {
        let issuers = issuers.into_iter().map(Into::into).collect();
        self.authorization_servers = AuthorizationServers::Listed(issuers);
        self
    }

    /// Leaves `authorization_servers` out. The member is optional, because some APIs cannot list their
    /// authorization servers (RFC 9728 §2). Clients then need another way to find them. MCP requires the
    /// member.
    pub fn without_authorization_servers(mut self) -> Self {
        self.authorization_servers = AuthorizationServers::None;
        self
    }

    /// Adds `body` to `bearer_methods_supported`. Call this method if the API has a
    /// [`form_token_layer`](crate::ResourceServer::form_token_layer).
    pub fn form_tokens(mut self) -> Self {
        self.form_tokens = true;
        self
    }

    /// Publishes an empty `bearer_methods_supported`: the API accepts no bearer tokens (RFC 9728 §2).
    /// [`build`](Self::build) refuses this together with [`form_tokens`](Self::form_tokens).
    pub fn without_bearer_methods(mut self) -> Self {
        self.without_bearer_methods = true;
        self
    }

    /// Sets `jwks_uri`: the https URL of the keys with which the API signs its responses. If the key set
    /// also has keys for encryption, each key must have `use` (RFC 9728 §2).
    pub fn jwks_uri(mut self, url: impl AsRef<str>) -> Self {
        self.members.set_page("jwks_uri", None, url.as_ref());
        self
    }

    /// Sets `resource_signing_alg_values_supported`: the algorithms with which the API signs its responses.
    /// [`build`](Self::build) refuses `none`.
    pub fn resource_signing_algorithms<T: Into<String>>(
        mut self,
        algorithms: impl IntoIterator<Item = T>,
    ) -> Self {
        let algorithms: Vec<String> = algorithms.into_iter().map(Into::into).collect();
        algorithms.iter().for_each(|algorithm| self.members.check_algorithm(algorithm));
        self.members.set_list("resource_signing_alg_values_supported", once_each(algorithms));
        self
    }

    /// Publishes `tls_client_certificate_bound_access_tokens`: the API accepts tokens that are bound to a client
    /// certificate (RFC 8705 §3). Call this method if clients send their certificates in the API's own TLS
    /// connections. If the server reads certificates from a proxy's header, the member is already published.
    pub fn certificate_bound_tokens(mut self) -> Self {
        self.members.map.insert(BOUND_TO_CERTIFICATES.to_owned(), true.into());
        self
    }

    /// Adds a member that this crate does not know. [`build`](Self::build) refuses a member of RFC 9728.
    pub fn member(mut self, name: impl AsRef<str>, value: impl Into<Value>) -> Self {
        self.members.set_other(name.as_ref(), value.into());
        self
    }

    /// Adds `signed_metadata` (RFC 9728 §2.2): all other members as the claims of a signed JWT. The claim
    /// `iss` is the resource identifier.
    ///
    /// [`build`](Self::build) calls `sign` once, with the claims as JSON text. `sign` returns a compact JWS
    /// (RFC 7515 §7.1) with these claims as its payload. [`build`](Self::build) checks the form and the
    /// payload, but not the signature.
    pub fn signed_with(
        mut self,
        sign: impl FnOnce(&str) -> Result<String, Box<dyn Error>> + Send + 'static,
    ) -> Self {
        self.signer = Some(Box::new(sign));
        self
    }

    /// How long clients may cache the document: `max-age` in `Cache-Control`, in whole seconds. The
    /// default is 1 h.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age.as_secs();
        self
    }

    /// Builds the service that serves the document.
    ///
    /// # Errors
    /// Lists every problem: the server has no resource identifier, no authorization server can be listed, or
    /// a setting is invalid or set twice. If there is no such problem, reports a failure of the signer.
    pub fn build(self) -> Result<MetadataService, ConfigError> {
        let Self { resource, mut members, signer, max_age, .. } = self;
        match (self.authorization_servers, self.issuers) {
            (AuthorizationServers::None, _) => {}
            (AuthorizationServers::Listed(listed), _) if !listed.is_empty() => {
                listed.iter().for_each(|issuer| members.check_authorization_server(issuer));
                members.set_list("authorization_servers", once_each(listed));
            }
            (AuthorizationServers::Issuers, issuers) if !issuers.is_empty() => {
                members.set_list("authorization_servers", issuers);
            }
            (AuthorizationServers::Listed(_) | AuthorizationServers::Issuers, _) => {
                let problem = "authorization_servers: there is none; see \
                               `ResourceMetadata::authorization_servers` and \
                               `without_authorization_servers`";
                members.problems.push(problem.to_owned());
            }
        }
        self.scopes.iter().for_each(|scope| members.check_scope("scopes", scope));
        self.left_out.iter().for_each(|scope| members.check_scope("without_scope", scope));
        let is_listed = |scope: &String| !self.left_out.contains(scope);
        let scopes = once_each(self.scopes).into_iter().filter(is_listed).collect();
        members.set_list("scopes_supported", scopes);
        let types = once_each(self.details_types);
        let name = "authorization_details_types_supported";
        types.iter().for_each(|kind| members.check_word(name, kind));
        members.set_list(name, types);
        let Members { mut map, mut problems, .. } = members;
        let accepted = !self.without_bearer_methods;
        if self.form_tokens && !accepted {
            problems.push("form_tokens: not with `without_bearer_methods`".to_owned());
        }
        let methods = [
            ("header", accepted),
            ("query", accepted && self.query_token),
            ("body", self.form_tokens),
        ];
        let methods =
            methods.into_iter().filter_map(|(name, is_accepted)| is_accepted.then_some(name));
        // RFC 9728 §2: an empty array has a meaning only for this member.
        map.insert("bearer_methods_supported".to_owned(), methods.collect());
        let Some(resource) = resource else {
            problems.push("resource: the server has none; see `Builder::resource`".to_owned());
            return Err(ConfigError { problems });
        };
        map.insert("resource".to_owned(), resource.identifier.clone().into());
        if !problems.is_empty() {
            return Err(ConfigError { problems });
        }
        if let Some(sign) = signer {
            let jws = signed(&map, &resource.identifier, sign).map_err(ConfigError::one)?;
            map.insert("signed_metadata".to_owned(), jws.into());
        }
        Ok(MetadataService::new(resource, sorted(&map), max_age))
    }
}

macro_rules! texts {
    ($($name:ident $name_in:ident $set:ident $what:literal,)*) => {
        impl<C> ResourceMetadata<C> {
            $(
                #[doc = concat!("Sets `", stringify!($name), "`: ", $what, ".")]
                pub fn $name(mut self, value: impl AsRef<str>) -> Self {
                    self.members.$set(stringify!($name), None, value.as_ref());
                    self
                }

                #[doc = concat!("As [`", stringify!($name), "`](Self::", stringify!($name), "), in another")]
                /// language. `tag` is its tag (BCP 47), such as `de` or `pt-BR`.
                pub fn $name_in(mut self, tag: &str, value: impl AsRef<str>) -> Self {
                    self.members.$set(stringify!($name), Some(tag), value.as_ref());
                    self
                }
            )*
        }
    };
}

texts! {
    resource_name resource_name_in set_text "the name of the API, for people to read",
    resource_documentation resource_documentation_in set_page
        "the https URL of a page for developers",
    resource_policy_uri resource_policy_uri_in set_page
        "the https URL of a page about how clients may use the data",
    resource_tos_uri resource_tos_uri_in set_page "the https URL of the terms of service",
}

fn once_each(values: Vec<String>) -> Vec<String> {
    let mut seen: Vec<String> = Vec::with_capacity(values.len());
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen
}

impl<C> fmt::Debug for ResourceMetadata<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceMetadata").field("members", &self.members).finish_non_exhaustive()
    }
}
