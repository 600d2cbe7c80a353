//! The transport of an issuer: checks, warnings, and the settings of the HTTP client.

use std::collections::HashSet;

use crate::fetch::ClientSettings;
use crate::issuer::{Issuer, KeyConfig};
use crate::observe::Occurrence;
use crate::observe::shown::shown;
use crate::trust::settings::TrustSettings;
use crate::url::{check_url, is_exact_host};

impl TrustSettings {
    /// Checks the transport settings.
    pub(super) fn check_transport(&self, issuer: &Issuer, problem: &mut impl FnMut(&str)) {
        check_bearer(issuer, problem);
        for host in issuer.transport.http_hosts.iter().filter(|host| !is_exact_host(host)) {
            problem(&format!(
                "danger::allow_http_hosts `{}`: must be the exact name of one host, in lower case, \
                 without scheme, port or wildcard",
                shown(host)
            ));
        }
        if let Some(url) = &issuer.transport.metadata_url
            && let Err(fault) = check_url(url, issuer.plain_http(self.allow_http_loopback))
        {
            problem(&format!("metadata_url `{}`: {fault}", shown(url)));
        }
    }

    /// Warns that requests to some hosts may use http: one warning for each host, and one for each kind
    /// of secret that may be sent over http. This function is called when the server is built or
    /// reloaded, and when a new tenant is resolved.
    pub(super) fn warn_of_http(&self, issuer: &Issuer) {
        let hosts = &issuer.transport.http_hosts;
        let mut told = HashSet::new();
        for host in hosts.iter().filter(|host| told.insert(host.as_str())) {
            self.stream.tell(&Occurrence::HttpIsAllowed { issuer: &issuer.name, host });
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
            let secret = "the token of `bearer_token_file`";
            self.stream.tell(&Occurrence::SecretByHttp { issuer: &issuer.name, secret });
        }
        // If no introspection endpoint is configured, the metadata names the endpoint. The metadata is
        // not fetched yet, so the endpoint may be on a host for which http is allowed.
        let may_go = |endpoint: &Option<String>| match endpoint {
            Some(url) => goes_by_http(url),
            None => !hosts.is_empty(),
        };
        if issuer.introspection.as_ref().is_some_and(|own| may_go(&own.endpoint)) {
            let secret = "the client credentials for the introspection endpoint, and each introspected \
                          token";
            self.stream.tell(&Occurrence::SecretByHttp { issuer: &issuer.name, secret });
        }
    }

    /// The settings of the HTTP client for this issuer. The caller sets whether TLS is needed.
    pub(super) fn client(&self, issuer: &Issuer) -> ClientSettings {
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

fn check_bearer(issuer: &Issuer, problem: &mut impl FnMut(&str)) {
    match &issuer.transport.bearer_token_file {
        None => {}
        Some(path) if path.as_os_str().is_empty() => {
            problem("bearer_token_file ``: must not be empty");
        }
        Some(_) if matches!(issuer.keys, KeyConfig::JwksUris(_)) => {}
        Some(_) => problem(
            "bearer_token_file: needs `jwks_uri`, because the token is sent only to a configured URL, \
             never to a URL that metadata names",
        ),
    }
}
