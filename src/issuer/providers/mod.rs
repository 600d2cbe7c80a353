//! What the authorization servers of this world send: one plain function a server, which returns an
//! [`Issuer`](crate::Issuer).
//!
//! A function sets no more than the methods of `Issuer` and [`Profile`](crate::Profile) do: the
//! name, where the keys are, the algorithms that the server documents, and how it writes its
//! tokens. Its result can be changed by the same methods; `.profile(..)` replaces the whole
//! profile. The table of all of them is in [`manual::providers`](crate::manual::providers).
//!
//! Only a server whose tokens follow RFC 9068 needs none of these: `.issuer("https://..")` is
//! enough. What the others give up is said at each function; most of them give up `typ`, so that
//! `aud` and the claims that only access tokens carry have to keep ID tokens out (RFC 9068 §5).
//!
//! A server whose access tokens are opaque needs introspection (RFC 7662), not a profile: Google's
//! own access tokens, Okta's org authorization server, Canaille, and the defaults of Zitadel, Hydra,
//! LemonLDAP::NG and Curity.
//!
//! Functions that put text into a URL check it, and return a [`ConfigError`] where it is not what
//! the server calls by that name.
//!
//! ```
//! use tower_resource_server::{ConfigError, ResourceServer, providers};
//!
//! let api = ResourceServer::builder()
//!     .issuer(providers::keycloak("https://sso.example.com/realms/demo"))
//!     .issuer(providers::entra_v2("11111111-2222-3333-4444-555555555555")?)
//!     .audience("https://api.example.com");
//! # #[cfg(feature = "remote")]
//! api.build()?;
//!
//! // Entra ID writes the tenant's id into `iss`, never its domain.
//! assert!(providers::entra_v2("contoso.onmicrosoft.com").is_err());
//! # Ok::<(), ConfigError>(())
//! ```

mod clouds;
#[cfg(feature = "remote")]
mod cluster;
mod self_hosted;
mod servers;
mod workloads;

use crate::config_error::ConfigError;

pub use clouds::{
    cognito, cognito_resource_bound, entra_b2c, entra_v1, entra_v2, entra_v2_multitenant,
};
#[cfg(feature = "remote")]
pub use cluster::kubernetes_in_cluster;
pub use self_hosted::{canaille, duende, lemonldap, rauthy, spring_authorization_server, wso2};
pub use servers::{
    auth0, auth0_rfc9068, fusionauth, fusionauth_entities, hydra, keycloak, okta, pingfederate,
    pingone, zitadel,
};
pub use workloads::{github_actions, gitlab_ci, google_service_accounts, kubernetes};

/// Refuses `value` unless it fits, naming the setting and what would.
fn check(fits: bool, setting: &str, value: &str, wanted: &str) -> Result<(), ConfigError> {
    if fits {
        return Ok(());
    }
    Err(ConfigError::one(format!("{setting} `{}`: {wanted}", crate::observe::shown::shown(value))))
}

/// The values that a token is pinned to: at least one, and none of them empty, since a list that
/// was meant to narrow a shared issuer must not be lost by mistake.
fn pinned<V: Into<String>>(
    setting: &str,
    values: impl IntoIterator<Item = V>,
) -> Result<Vec<String>, ConfigError> {
    let values: Vec<String> = values.into_iter().map(Into::into).collect();
    check(!values.is_empty(), setting, "", "at least one is needed")?;
    for value in &values {
        check(!value.is_empty(), setting, value, "must not be empty")?;
    }
    Ok(values)
}

/// Whether a text is a host name: labels of letters, digits and hyphens.
fn is_host(text: &str) -> bool {
    text.contains('.')
        && text.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (text, good) in [
            ("tenant.eu.auth0.com", true),
            ("a-b.example.com", true),
            ("example", false),
            ("", false),
            (".example.com", false),
            ("example.com.", false),
            ("-a.example.com", false),
            ("a-.example.com", false),
            ("https://example.com", false),
            ("example.com/", false),
            ("example.com:8443", false),
            ("user@example.com", false),
            ("example.com?x", false),
            ("example.com#x", false),
            ("example .com", false),
            ("é.example.com", false),
        ] {
            assert_eq!(is_host(text), good, "{text}");
        }
    }

    #[test]
    fn a_pin_of_nothing_is_none() {
        assert!(pinned("ids", ["1", "2"]).is_ok());
        assert!(pinned("ids", [] as [&str; 0]).is_err());
        assert!(pinned("ids", ["1", ""]).is_err());
    }
}
