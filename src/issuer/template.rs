//! One issuer whose name has a placeholder for the tenant:
//! `https://login.example.com/{tenantid}/v2.0`.
//!
//! All tenants share one key set, so the signature does not identify the tenant. Instead, `iss` and a
//! second claim must name the same tenant, and the API must allow this tenant.

use std::fmt;
use std::sync::Arc;

use crate::error::Error;
use crate::tenant::{TENANT, tenant_of};
use crate::token::json::{Object, Value};
use crate::url::is_normal;

/// Whether the placeholder is in front of the path.
fn is_in_host(template: &str) -> bool {
    let before = template.split_once(TENANT).map_or(template, |(before, _)| before);
    before.split_once("://").is_none_or(|(_, authority)| !authority.contains('/'))
}

/// Which tenants are trusted, and the claim that names them.
#[derive(Clone)]
pub(crate) struct TenantRule {
    pub(crate) claim: String,
    pub(crate) allow: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

impl TenantRule {
    /// Whether `iss` is the issuer name of an allowed tenant.
    pub(crate) fn allows(&self, template: &str, iss: &str) -> bool {
        let Some(tenant) = tenant_of(template, iss) else { return false };
        // If the placeholder is in the host, a tenant's name can put upper case into the host or turn
        // the host into an IP address. So check the whole URL.
        let is_url = !is_in_host(template) || is_normal(iss, false);
        is_url && (self.allow)(tenant)
    }

    /// Checks that the claim names the same tenant as `iss`.
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
    use crate::tenant::PLACEHOLDER;

    #[test]
    fn a_tenant_in_a_host_leaves_it_in_normal_form() {
        let rule = TenantRule { claim: "tid".into(), allow: Arc::new(|_| true) };
        for (template, iss, allowed) in [
            ("https://{tenantid}.example.com", "https://t1.example.com", true),
            ("https://{tenantid}.example.com", "https://T1.example.com", false),
            ("https://{tenantid}.example.com", "https://xn--.example.com", false),
            ("https://login.{tenantid}", "https://login.t1", true),
            ("https://login.{tenantid}", "https://login.1", false),
            ("https://{tenantid}", "https://2130706433", false),
            ("https://example.com/{tenantid}", "https://example.com/T1", true),
            ("https://example.com/{tenantid}", "https://example.com/2130706433", true),
        ] {
            assert_eq!(rule.allows(template, iss), allowed, "{iss}");
        }
    }

    /// Tokens need no URL parser because every tenant of a good template gives a normal form.
    #[test]
    fn names_by_a_good_template_are_in_normal_form() {
        let rule = TenantRule { claim: "tid".into(), allow: Arc::new(|_| true) };
        let tenants = ["t1", "T-1_x", "...", "a..b", "-", "0x7f", "xn--", ".", "..", "2e", "c0"];
        let mut named = 0;
        for template in [
            "https://h/{tenantid}",
            "https://h/{tenantid}/v2.0",
            "https://h/.{tenantid}",
            "https://h/{tenantid}.",
            "https://h/a;{tenantid}",
            "https://h/{tenantid};a",
            "https://h/%7E{tenantid}",
            "https://h/%{tenantid}",
            "https://h/%2{tenantid}",
            "https://h/..;{tenantid}",
            "https://h//{tenantid}",
            "https://h/?{tenantid}",
            "https://h:{tenantid}/",
            "https://h\\{tenantid}/",
        ] {
            if !is_normal(&template.replace(TENANT, PLACEHOLDER), false) {
                continue;
            }
            for tenant in tenants {
                let iss = template.replace(TENANT, tenant);
                if rule.allows(template, &iss) {
                    named += 1;
                    assert!(is_normal(&iss, false), "{iss}");
                }
            }
        }
        assert_eq!(named, 7 * 9);
    }
}
