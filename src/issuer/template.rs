//! One issuer whose name has a place for the tenant: `https://login.example.com/{tenantid}/v2.0`.
//!
//! All tenants share one key set, so the signature does not tell one from another. What binds a
//! token to its tenant is that `iss` and a claim of the token name the same one, and that the API
//! allows it.

use std::fmt;
use std::sync::Arc;

use crate::error::Error;
use crate::token::json::{Object, Value};

/// Where the name of such an issuer, or of a key in its set, leaves a place for the tenant.
pub(crate) const TENANT: &str = "{tenantid}";

/// The tenant in `iss`, if it fits the template: one segment of a path, of letters, digits, `-`,
/// `_` and `.`.
pub(crate) fn tenant_of<'a>(template: &str, iss: &'a str) -> Option<&'a str> {
    let (before, after) = template.split_once(TENANT)?;
    let tenant = iss.strip_prefix(before)?.strip_suffix(after)?;
    let good = !tenant.is_empty()
        && tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    good.then_some(tenant)
}

/// Which tenants are trusted, and the claim that names them.
#[derive(Clone)]
pub(crate) struct TenantRule {
    pub(crate) claim: String,
    pub(crate) allow: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

impl TenantRule {
    /// Whether `iss` is that of an allowed tenant.
    pub(crate) fn allows(&self, template: &str, iss: &str) -> bool {
        tenant_of(template, iss).is_some_and(|tenant| (self.allow)(tenant))
    }

    /// Whether the token's own claim names the tenant of its `iss`.
    pub(crate) fn check(&self, template: &str, claims: &Object<'_>) -> Result<(), Error> {
        let iss = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        let tenant = tenant_of(template, iss);
        match claims.get(&self.claim) {
            None => Err(Error::MissingClaim { claim: self.claim.clone().into() }),
            Some(Value::String(named)) if Some(named.as_ref()) == tenant => Ok(()),
            Some(Value::String(_)) => {
                Err(Error::UnacceptedValue { claim: self.claim.clone().into() })
            }
            Some(_) => Err(Error::MalformedClaim { claim: self.claim.clone().into() }),
        }
    }
}

impl fmt::Debug for TenantRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantRule").field("claim", &self.claim).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_in_a_name() {
        const TEMPLATE: &str = "https://login.example.com/{tenantid}/v2.0";
        for (iss, tenant) in [
            ("https://login.example.com/t-1/v2.0", Some("t-1")),
            ("https://login.example.com//v2.0", None),
            ("https://login.example.com/v2.0", None),
            ("https://login.example.com/a/b/v2.0", None),
            ("https://login.example.com/a?/v2.0", None),
            ("https://login.example.com/{tenantid}/v2.0", None),
            ("https://login.example.com/t-1/v2.0/", None),
            ("http://login.example.com/t-1/v2.0", None),
            ("https://login.evil.example/t-1/v2.0", None),
        ] {
            assert_eq!(tenant_of(TEMPLATE, iss), tenant, "{iss}");
        }
        assert_eq!(tenant_of("https://as.example.com", "https://as.example.com"), None);
    }
}
