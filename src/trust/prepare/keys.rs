//! Builds the keys of an issuer from its settings. If the keys must be fetched, builds the engine that
//! fetches and caches the keys.

use std::sync::Arc;
use std::time::Duration;

use crate::crypto::{AlgorithmSet, KeyFault, VerificationKey};
use crate::issuer::{Issuer, KeyConfig};
#[cfg(feature = "http-client")]
use crate::keys::{BearerFile, JwksPlaces, MAX_SETS};
use crate::keys::{KeySet, KeySetFault, KeySettings, Keys, RemoteKeys, Source};
#[cfg(feature = "http-client")]
use crate::observe::shown::shown;
use crate::trust::issuer::TrustedIssuer;
use crate::trust::settings::TrustSettings;
#[cfg(feature = "http-client")]
use crate::url::{check_issuer, check_url};

impl TrustSettings {
    /// Returns the keys of an issuer. If the place of the keys has not changed since the previous
    /// configuration, the usable keys are kept. If the accepted algorithms have not changed either, the
    /// engine is kept, too. There is one exception: a new engine with a usable seed replaces an engine
    /// without usable keys.
    pub(super) fn keys<'a>(
        &self,
        issuer: &Issuer,
        algorithms: AlgorithmSet,
        mut previous: impl Iterator<Item = &'a TrustedIssuer>,
        keep_warm: bool,
    ) -> Result<Keys, Vec<String>> {
        let same_place = |known: &&TrustedIssuer| {
            *known.name == *issuer.name
                && known.source.is_same(&issuer.keys)
                && is_reached_alike(known, issuer)
        };
        let known = previous.find(same_place);
        // A seed (a stored key set) has keys. So, if the previous engine has no usable keys, a new
        // engine with the seed is better than the previous engine.
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
                .map_err(|KeySetFault(text)| vec![format!("jwks: {text}")]),
            KeyConfig::Pem(pem) => one_key(crate::keys::pem(pem, algorithms), "pem"),
            KeyConfig::Der(der) => one_key(crate::keys::der(der, algorithms), "der"),
            KeyConfig::Secret(secret, algorithm) => {
                one_key(VerificationKey::secret(secret, *algorithm), "secret")
            }
            KeyConfig::File(path) if path.as_os_str().is_empty() => {
                Err(vec!["file ``: must not be empty".to_owned()])
            }
            KeyConfig::File(path) => Ok(remote(Source::file(path))),
            KeyConfig::Source(source) => Ok(remote(Source::User(Arc::clone(source)))),
            KeyConfig::Discover | KeyConfig::JwksUris(_) => self.remote_source(issuer).map(remote),
        };
        if let (Ok(keys), Some(known)) = (&keys, known) {
            keys.take_over(&known.keys);
            // The new engine has no usable keys if its seed was not accepted. Then keep the previous engine, because
            // it may have a fetch in progress.
            if known.algorithms == algorithms && !keys.is_usable() {
                known.keys.note_seed_of(keys);
                return Ok(known.keys.clone());
            }
        }
        keys
    }

    #[cfg(feature = "http-client")]
    fn remote_source(&self, issuer: &Issuer) -> Result<Source, Vec<String>> {
        let mut settings = self.client(issuer);
        let plain_http = issuer.plain_http(self.allow_http_loopback);
        if let KeyConfig::JwksUris(uris) = &issuer.keys {
            let mut problems = Vec::new();
            if uris.is_empty() || uris.len() > MAX_SETS {
                problems.push(format!(
                    "jwks_uris: {} URLs; the number must be from 1 to {MAX_SETS}",
                    uris.len()
                ));
            }
            for uri in uris {
                match check_url(uri, plain_http) {
                    Ok(url) => settings.tls.is_needed |= url.scheme() == "https",
                    Err(fault) => problems.push(format!("jwks_uri `{}`: {fault}", shown(uri))),
                }
            }
            let client = crate::fetch::Client::new(&settings).map_err(|text| problems.push(text));
            let (Ok(client), []) = (client, &*problems) else {
                return Err(problems);
            };
            let bearer = issuer.transport.bearer_token_file.as_deref().map(BearerFile::new);
            if let [uri] = uris.as_slice() {
                return Ok(Source::JwksUri { client, uri: uri.clone(), bearer });
            }
            let places = JwksPlaces::new(uris, self.stale_if_error);
            return Ok(Source::JwksUris { client, places, bearer });
        }
        let metadata_url = issuer.transport.metadata_url.as_deref();
        // `check_name` and `check_transport` report an invalid URL.
        let url = match metadata_url {
            Some(url) => check_url(url, plain_http),
            None => check_issuer(&issuer.name, plain_http),
        };
        settings.tls.is_needed = url.is_ok_and(|url| url.scheme() == "https");
        let client = crate::fetch::Client::new(&settings).map_err(|text| vec![text])?;
        let discovery = crate::fetch::Discovery::new(&issuer.name, metadata_url, client.clone());
        Ok(Source::Discovery(client, Arc::new(discovery)))
    }

    #[cfg(not(feature = "http-client"))]
    fn remote_source(&self, _: &Issuer) -> Result<Source, Vec<String>> {
        let text = "the keys must be fetched: turn on the feature `http-client`, or pass in the keys in code";
        Err(vec![text.to_owned()])
    }
}

/// The deadline of one attempt to fetch keys. `None` if the issuer's settings have no deadline for an
/// HTTP request. An attempt first fetches the metadata, if necessary, and then the keys. So its
/// deadline is twice the deadline of a request.
#[cfg(feature = "http-client")]
fn fetch_deadline(issuer: &Issuer) -> Option<Duration> {
    issuer.transport.deadline.map(|one| one.saturating_mul(2))
}

#[cfg(not(feature = "http-client"))]
fn fetch_deadline(_: &Issuer) -> Option<Duration> {
    None
}

/// Whether the known issuer and the new issuer have the same transport settings. Examples of such
/// settings are the root certificates and the bearer token file. If the settings differ, a new engine is
/// needed, because the settings of an engine never change.
#[cfg(feature = "http-client")]
fn is_reached_alike(known: &TrustedIssuer, issuer: &Issuer) -> bool {
    known.transport == issuer.transport
}

#[cfg(not(feature = "http-client"))]
fn is_reached_alike(_: &TrustedIssuer, _: &Issuer) -> bool {
    true
}

fn one_key(key: Result<VerificationKey, KeyFault>, setting: &str) -> Result<Keys, Vec<String>> {
    key.map(|key| Keys::Static(Arc::new(KeySet::single(key))))
        .map_err(|KeyFault(text)| vec![format!("{setting}: {text}")])
}
