//! The tenant in a name with a placeholder: `https://login.example.com/{tenantid}/v2.0`.
//!
//! Decides which part of `iss` is the tenant. The name with the placeholder is the name of an
//! issuer, or the member `issuer` of a key in a key set.

/// The placeholder for the tenant, in the name of an issuer or of a key in its set.
pub(crate) const TENANT: &str = "{tenantid}";

/// A sample tenant, to check a name with the placeholder as a URL. It does not begin with a
/// hexadecimal digit, so that it cannot complete a percent escape before it.
pub(crate) const PLACEHOLDER: &str = "the-tenant";

/// The tenant in `iss`, if `iss` fits the template. A tenant has letters, digits, `-`, `_` and `.`,
/// and is not a dot segment. So if the template is in normal form and the placeholder is in the
/// path, a URL with any such tenant is in normal form.
pub(crate) fn tenant_of<'a>(template: &str, iss: &'a str) -> Option<&'a str> {
    let (before, after) = template.split_once(TENANT)?;
    let tenant = iss.strip_prefix(before)?.strip_suffix(after)?;
    let good = !["", ".", ".."].contains(&tenant)
        && tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    good.then_some(tenant)
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
            ("https://login.example.com/./v2.0", None),
            ("https://login.example.com/../v2.0", None),
            ("https://login.example.com/.../v2.0", Some("...")),
            ("https://login.example.com/%2e%2e/v2.0", None),
            ("https://login.example.com/..;x/v2.0", None),
            ("http://login.example.com/t-1/v2.0", None),
            ("https://login.evil.example/t-1/v2.0", None),
        ] {
            assert_eq!(tenant_of(TEMPLATE, iss), tenant, "{iss}");
        }
        assert_eq!(tenant_of("https://as.example.com", "https://as.example.com"), None);
    }
}
