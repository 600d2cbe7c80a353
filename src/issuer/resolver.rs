//! How the API names the issuers of tenants while requests come in.

use std::future::Future;

use crate::issuer::Issuer;
use crate::source_error::{Boxed, SourceError};

/// Finds the issuers of tenants while requests come in.
///
/// It can only name an [`Issuer`]; tokens are judged as those of any other. Set by
/// [`Builder::issuer_resolver`](crate::Builder::issuer_resolver).
///
/// ```
/// use tower_resource_server::{Issuer, SourceError, IssuerResolver};
///
/// struct Tenants;
///
/// impl IssuerResolver for Tenants {
///     fn allows(&self, iss: &str) -> bool {
///         // All between the two is the tenant's: one label, so that no other host is named.
///         let rest = iss.strip_prefix("https://").and_then(|rest| rest.strip_suffix(".as.example.com"));
///         let is_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
///         rest.is_some_and(|tenant| !tenant.is_empty() && tenant.bytes().all(is_label))
///     }
///
///     fn resolve(&self, iss: &str) -> impl Future<Output = Result<Option<Issuer>, SourceError>> + Send {
///         // A directory of tenants would be asked here.
///         Box::pin(async move { Ok(Some(Issuer::discover(iss))) })
///     }
/// }
///
/// assert!(Tenants.allows("https://t1.as.example.com"));
/// assert!(!Tenants.allows("https://as.evil.example"));
/// assert!(!Tenants.allows("https://evil.example/.as.example.com"));
/// ```
pub trait IssuerResolver: Send + Sync + 'static {
    /// Whether a token may name this issuer. `iss` is a URL that a stranger wrote: compare it with
    /// what is trusted, host and all, and fetch nothing. A look at the ends of the text is no such
    /// comparison: `https://evil.example/.as.example.com` begins and ends well.
    ///
    /// The URL is in normal form: https (or http to this machine, where that is switched on), without
    /// user name, query, fragment, default port, upper case in the host, dot segments, empty segments
    /// or encoded delimiters; and it has 1,024 bytes at most. The layer refuses other names before it
    /// asks, so what is compared here is what is fetched.
    ///
    /// It is asked for every token, also of a tenant at hand, so it is what takes a tenant's trust
    /// away at once. An answer of [`resolve`](Self::resolve) is asked for again after ten minutes.
    fn allows(&self, iss: &str) -> bool;

    /// The issuer of this name, which `allows` let pass; `None` when there is no such tenant, which is
    /// remembered for 10 s.
    ///
    /// A tenant that is known is asked about again in the background, ten minutes after the last
    /// time, when a request comes for it. `None` then takes its trust away; an error leaves it as it
    /// is.
    ///
    /// # Errors
    /// Why it can't be told now.
    fn resolve(
        &self,
        iss: &str,
    ) -> impl Future<Output = Result<Option<Issuer>, SourceError>> + Send;
}

/// The same for any resolver.
pub(crate) trait AnyIssuerResolver: Send + Sync {
    fn allows(&self, iss: &str) -> bool;
    fn resolve<'a>(&'a self, iss: &'a str) -> Boxed<'a, Option<Issuer>>;
}

impl<R: IssuerResolver> AnyIssuerResolver for R {
    fn allows(&self, iss: &str) -> bool {
        IssuerResolver::allows(self, iss)
    }

    fn resolve<'a>(&'a self, iss: &'a str) -> Boxed<'a, Option<Issuer>> {
        Box::pin(IssuerResolver::resolve(self, iss))
    }
}
