//! One function for each known authorization server. Each function returns an
//! [`Issuer`](crate::Issuer) for the tokens that the server sends.
//!
//! A function only calls the methods of `Issuer` and [`Profile`](crate::Profile). It sets the name,
//! if necessary the URL of the keys, the algorithms that the server documents, and the form of its
//! tokens. You can change the result with the same methods. `.map_profile(..)` changes the profile,
//! and `.profile(..)` replaces it. [`manual::providers`](crate::manual::providers) has a table of
//! all functions.
//!
//! If a server's tokens follow RFC 9068, no function is needed: `.issuer("https://..")` is enough.
//! Each function's documentation says which checks of RFC 9068 the function gives up. Most
//! functions give up `typ`. Then ID tokens must be refused because of `aud`, or because they lack
//! claims that only access tokens have (RFC 9068 §5).
//!
//! [`role`](crate::policy::role) reads the roles at the places where the server writes them. Each
//! function's documentation names these places. Add a place with
//! [`Issuer::map_profile`](crate::Issuer::map_profile) and
//! [`Profile::roles_claim`](crate::Profile::roles_claim).
//!
//! Opaque access tokens need introspection (RFC 7662), not a profile. These servers send opaque
//! tokens: Google (its own access tokens), Okta's org authorization server, Canaille, and, by
//! default, Zitadel, Hydra, LemonLDAP::NG and Curity.
//!
//! A function that puts text into a URL checks the text. It returns a [`ConfigError`] if the text
//! is not of the expected form.
//!
//! ```
//! use tower_resource_server::{ConfigError, ResourceServer, providers};
//!
//! let api = ResourceServer::builder()
//!     .issuer(providers::keycloak("https://sso.example.com/realms/demo"))
//!     .issuer(providers::entra_v2("11111111-2222-3333-4444-555555555555")?)
//!     .audience("https://api.example.com");
//! # #[cfg(feature = "http-client")]
//! api.build()?;
//!
//! // Entra ID writes the tenant's id into `iss`, never its domain.
//! assert!(providers::entra_v2("contoso.onmicrosoft.com").is_err());
//! # Ok::<(), ConfigError>(())
//! ```

mod clouds;
#[cfg(feature = "http-client")]
mod cluster;
mod self_hosted;
mod servers;
mod workloads;

use crate::config_error::ConfigError;

pub use clouds::{
    cognito, cognito_resource_bound, entra_b2c, entra_v1, entra_v2, entra_v2_multitenant,
};
#[cfg(feature = "http-client")]
pub use cluster::kubernetes_in_cluster;
pub use self_hosted::{canaille, duende, lemonldap, rauthy, spring_authorization_server, wso2};
pub use servers::{
    auth0, auth0_rfc9068, fusionauth, fusionauth_entities, hydra, keycloak, okta, pingfederate,
    pingone, zitadel,
};
pub use workloads::{github_actions, gitlab_ci, google_service_accounts, kubernetes};

/// Refuses `value` unless it fits. The error names the setting and the expected form.
fn check(fits: bool, setting: &str, value: &str, wanted: &str) -> Result<(), ConfigError> {
    if fits {
        return Ok(());
    }
    Err(ConfigError::one(format!("{setting} `{}`: {wanted}", crate::observe::shown::shown(value))))
}

/// The values of which a claim of the token must have one: at least one value, and none of them
/// empty. Without a value, a shared issuer would be trusted for all its users by mistake.
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

/// Whether a text is a host name: at least two labels of letters, digits and hyphens.
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
