//! The settings of HTTP clients, and their TLS configurations. Clients with equal TLS settings
//! share one configuration.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use http::HeaderValue;

use crate::crypto::{Roots, TlsConfig, certificates, tls_config};
use crate::fetch::names::Names;
use crate::fetch::proxy::Proxy;
use crate::url::PlainHttp;

/// The default deadline of one whole request.
pub(crate) const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest deadline that can be set. After this time, callers have usually given up.
pub(crate) const MAX_DEADLINE: Duration = Duration::from_secs(30);

/// The protocols that the TLS handshake offers (ALPN, RFC 7301), in this order.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The settings of a client.
#[derive(Clone, Default)]
pub(crate) struct ClientSettings {
    pub(crate) allow_http_loopback: bool,
    /// Hosts that may be reached by http.
    pub(crate) http_hosts: Vec<String>,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) user_agent: Option<HeaderValue>,
    /// The deadline of one whole request. `None` for the default.
    pub(crate) deadline: Option<Duration>,
    pub(crate) tls: TlsSettings,
    /// The TLS configurations of the server that the client belongs to.
    pub(crate) configs: Arc<TlsConfigs>,
    /// The host name lookups, which all clients of a server share.
    pub(super) names: Names,
}

/// How connections over TLS are made.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct TlsSettings {
    /// Root certificates (PEM). They are trusted in addition to those of the system, or instead of
    /// those if `only_these_roots` is set.
    pub(crate) root_certificates: Vec<Vec<u8>>,
    pub(crate) only_these_roots: bool,
    /// Whether a URL is https. Then root certificates are required.
    pub(crate) is_needed: bool,
    /// Whether a later URL may be https: metadata that is fetched by http can name such URLs.
    pub(crate) is_possible: bool,
    /// A certificate with its private key (PEM), with which the client authenticates itself (RFC
    /// 8705 §2).
    pub(crate) identity: Option<Vec<u8>>,
}

/// The TLS configurations of one `ResourceServer`. It takes many milliseconds to read the root
/// certificates of the system. Without sharing, a server with a hundred issuers would read them a
/// hundred times.
#[derive(Default)]
pub(crate) struct TlsConfigs {
    in_use: Mutex<Vec<(TlsSettings, Weak<TlsConfig>)>>,
}

impl ClientSettings {
    pub(crate) fn plain_http(&self) -> PlainHttp<'_> {
        PlainHttp { loopback: self.allow_http_loopback, hosts: &self.http_hosts }
    }

    /// Sets the proxy for all issuers, except those with `Issuer::no_proxy`.
    ///
    /// # Errors
    /// Fails if the value is invalid. The text is fixed and is for a `ConfigError`.
    pub(crate) fn set_proxy(&mut self, url: &str) -> Result<(), &'static str> {
        self.proxy = Some(Proxy::parse(url)?);
        Ok(())
    }

    /// Sets the `User-Agent`. The errors are as in `set_proxy`.
    pub(crate) fn set_user_agent(&mut self, text: &str) -> Result<(), &'static str> {
        let value = HeaderValue::from_str(text).ok().filter(|value| !value.is_empty());
        self.user_agent = Some(value.ok_or("user_agent: is not text for a header")?);
        Ok(())
    }

    /// Adds root certificates. The errors are as in `set_proxy`.
    pub(crate) fn add_root_certificates(&mut self, pem: Vec<u8>) -> Result<(), &'static str> {
        certificates(&pem).ok_or("root_certificates: no PEM certificates")?;
        self.tls.root_certificates.push(pem);
        Ok(())
    }
}

impl TlsConfigs {
    /// Returns the TLS configuration for these settings. Reuses a configuration that is in use, if
    /// there is one.
    ///
    /// # Errors
    /// Fails if a certificate is invalid or the system has no root certificates. The text is for a
    /// `ConfigError`.
    pub(super) fn get(&self, settings: &TlsSettings) -> Result<Arc<TlsConfig>, String> {
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.retain(|(_, config)| config.strong_count() > 0);
        let known = in_use.iter().find(|(known, _)| known == settings);
        if let Some(config) = known.and_then(|(_, config)| config.upgrade()) {
            return Ok(config);
        }
        let config = Arc::new(settings.config()?);
        in_use.push((settings.clone(), Arc::downgrade(&config)));
        Ok(config)
    }
}

impl TlsSettings {
    fn config(&self) -> Result<TlsConfig, String> {
        let mut roots = Vec::new();
        for pem in &self.root_certificates {
            let only = if self.only_these_roots { "only_" } else { "" };
            let found = certificates(pem);
            roots.extend(
                found.ok_or_else(|| format!("{only}root_certificates: no PEM certificates"))?,
            );
        }
        let identity = self.identity.as_deref();
        let with_system = (self.is_needed || self.is_possible) && !self.only_these_roots;
        let with_system =
            with_system.then(|| tls_config(Roots::SystemAnd(roots.clone()), identity));
        let mut config = match with_system {
            Some(Ok(config)) => config,
            Some(Err(problem)) if self.is_needed => return Err(problem),
            // If TLS is only possible, a machine without root certificates is accepted.
            Some(Err(_)) | None => tls_config(Roots::Only(roots), identity)?,
        };
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
        Ok(config)
    }
}

impl fmt::Debug for TlsConfigs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsConfigs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_settings_share_a_configuration() {
        let configs = TlsConfigs::default();
        let one = configs.get(&TlsSettings::default()).unwrap();
        assert!(Arc::ptr_eq(&one, &configs.get(&TlsSettings::default()).unwrap()));
        let only = TlsSettings { only_these_roots: true, ..TlsSettings::default() };
        assert!(!Arc::ptr_eq(&one, &configs.get(&only).unwrap()), "other settings");
        drop(one);
        let _again = configs.get(&TlsSettings::default()).unwrap();
        assert_eq!(configs.in_use.lock().unwrap().len(), 1, "nothing is kept that nobody uses");
    }
}
