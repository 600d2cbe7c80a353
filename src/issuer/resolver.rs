//! How the API finds the issuers of tenants at run time.

use std::future::Future;

use crate::issuer::Issuer;
use crate::source_error::{Boxed, SourceError};

/// Finds the issuers of tenants at run time.
///
/// A resolver only returns an [`Issuer`]. The tokens of this issuer are validated like those of any other
/// issuer. Set the resolver with [`Builder::issuer_resolver`](crate::builder::Builder::issuer_resolver).
///
/// ```
/// use tower_resource_server::Issuer;
/// use tower_resource_server::issuer::{IssuerResolver, SourceError};
///
/// struct Tenants;
///
/// impl IssuerResolver for Tenants {
///     fn allows(&self, iss: &str) -> bool {
///         // The text between prefix and suffix must be one label: it names no other host.
///         let rest = iss.strip_prefix("https://").and_then(|rest| rest.strip_suffix(".as.example.com"));
///         let is_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
///         rest.is_some_and(|tenant| !tenant.is_empty() && tenant.bytes().all(is_label))
///     }
///
///     fn resolve(&self, iss: &str) -> impl Future<Output = Result<Option<Issuer>, SourceError>> + Send {
///         // A real resolver would look the tenant up in its directory.
///         Box::pin(async move { Ok(Some(Issuer::new(iss))) })
///     }
/// }
///
/// assert!(Tenants.allows("https://t1.as.example.com"));
/// assert!(!Tenants.allows("https://as.evil.example"));
/// assert!(!Tenants.allows("https://evil.example/.as.example.com"));
/// ```
pub trait IssuerResolver: Send + Sync + 'static {
    /// Returns `true` if tokens of this issuer may be accepted. `iss` is a URL that comes from an
    /// untrusted client. Compare the whole URL, including the host, with the names that you trust, and
    /// fetch nothing. A check of only the beginning and the end is not enough:
    /// `https://evil.example/.as.example.com` would pass.
    ///
    /// The URL is in normal form: https (or http to this machine, if that is allowed), without user name,
    /// query, fragment, default port, upper case in the host, dot segments, empty segments or encoded
    /// delimiters. The URL has at most 1,024 bytes. Tokens with other names are refused without a call of
    /// this method. So the text that you compare is exactly the URL that is used for fetches.
    ///
    /// This method is called for every token whose `iss` is not the name of a configured issuer, even if
    /// the tenant is cached. So you can withdraw trust from a tenant at once. In contrast,
    /// [`resolve`](Self::resolve) is called for a cached tenant only about every ten minutes.
    fn allows(&self, iss: &str) -> bool;

    /// Returns the issuer with this name. `allows` has already accepted the name. `None` means that there
    /// is no such tenant. The result `None` is cached for 10 s.
    ///
    /// Nine to ten minutes after a tenant was resolved (the time has jitter), the next request for this
    /// tenant starts another call, in the background. If the result is `None`, the tenant is removed.
    /// After an error, the tenant does not change.
    ///
    /// # Errors
    /// An error means that the resolver can't answer now. Requests that wait for the answer get 503.
    fn resolve(
        &self,
        iss: &str,
    ) -> impl Future<Output = Result<Option<Issuer>, SourceError>> + Send;
}

/// An [`IssuerResolver`] as a trait object.
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
