//! The client's certificate in a header that a proxy sets.

use std::fmt;

use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderName};
use http::{Extensions, HeaderMap};

use crate::error::Error;
use crate::observe::shown::shown;
use crate::sender::decode::{
    Count, MAX_VALUE, Problem, bare_pem, base64_der, byte_sequence, escaped_pem,
};
use crate::sender::peers::{PeerAddress, TrustedPeers};
use crate::sender::xfcc;
use crate::token::{Excerpt, Thumbprint};

/// The name and the form of the header in which a proxy sends the client's certificate, for
/// [`Builder::client_certificate_header`](crate::builder::Builder::client_certificate_header).
///
/// A certificate has at most 16 KiB in DER. A header with several lines is malformed. A value with several
/// certificates is also malformed, unless the form allows certificates of issuers after the client's own.
///
/// The proxy must request a certificate from each client, and must remove or replace this header in the
/// client's request. The [manual](crate::manual::mtls) has the settings of each proxy.
#[derive(Clone)]
pub struct ProxyHeader {
    name: String,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    ByteSequence,
    Xfcc {
        hops: usize,
    },
    EscapedPem(Count),
    Base64Der,
    /// As `Base64Der`, but an empty value means that the client has no certificate.
    Base64DerOrEmpty,
    BarePem,
}

impl ProxyHeader {
    fn new(name: impl Into<String>, form: Form) -> Self {
        Self { name: name.into(), form }
    }

    /// `Client-Cert` (RFC 9440): one byte sequence, `:base64 of the DER:`. `Client-Cert-Chain` is not read.
    pub fn client_cert() -> Self {
        Self::new("client-cert", Form::ByteSequence)
    }

    /// `X-Forwarded-Client-Cert` of Envoy. `hops` is the number of trusted proxies in a row, each of which
    /// adds one element: 1 for a single Envoy. The client connects to the first of these proxies. The element
    /// of the first proxy has the client's certificate as `Hash`, as `Cert`, or as both.
    ///
    /// The header must have exactly `hops` elements. So the first proxy must replace the client's header
    /// (`SANITIZE_SET`).
    pub fn xfcc(hops: usize) -> Self {
        Self::new("x-forwarded-client-cert", Form::Xfcc { hops })
    }

    /// PEM text with percent escapes: the value of nginx's `$ssl_client_escaped_cert`.
    pub fn nginx(name: &str) -> Self {
        Self::new(name, Form::EscapedPem(Count::One))
    }

    /// Base64 of the DER encoding: the value of HAProxy's `%[ssl_c_der,base64]`. If the client has no
    /// certificate, HAProxy sends an empty value, so an empty value is not malformed.
    pub fn haproxy(name: &str) -> Self {
        Self::new(name, Form::Base64DerOrEmpty)
    }

    /// `X-Forwarded-Tls-Client-Cert` of Traefik, as its middleware `PassTLSClientCert` sends it with `pem`:
    /// base64, with or without percent escapes. Certificates of the issuers may follow, after commas.
    pub fn traefik() -> Self {
        Self::new("x-forwarded-tls-client-cert", Form::BarePem)
    }

    /// `X-Amzn-Mtls-Clientcert-Leaf` of an AWS Application Load Balancer that verifies certificates: PEM text
    /// with percent escapes, in which `+`, `=` and `/` are not escaped.
    pub fn aws_alb() -> Self {
        Self::new("x-amzn-mtls-clientcert-leaf", Form::EscapedPem(Count::One))
    }

    /// `X-Amzn-Mtls-Clientcert` of an AWS Application Load Balancer that does not verify certificates
    /// (passthrough): the form of [`aws_alb`](Self::aws_alb). Certificates of the issuers may follow the
    /// client's own.
    pub fn aws_alb_passthrough() -> Self {
        Self::new("x-amzn-mtls-clientcert", Form::EscapedPem(Count::LeafFirst))
    }

    /// `X-ARR-ClientCert` of Azure App Service: base64 of the DER encoding.
    pub fn azure() -> Self {
        Self::new("x-arr-clientcert", Form::Base64Der)
    }
}

impl fmt::Debug for ProxyHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyHeader").field("name", &self.name).field("form", &self.form).finish()
    }
}

/// The checked setting of `client_certificate_header`.
#[derive(Debug)]
pub(crate) struct CertificateHeader {
    name: HeaderName,
    form: Form,
    peers: TrustedPeers,
}

/// The field with the certificates of the issuers (RFC 9440 §2.3). It is not read.
const CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

impl CertificateHeader {
    /// Checks the setting.
    ///
    /// # Errors
    /// Lists every problem.
    pub(crate) fn new(header: &ProxyHeader, peers: TrustedPeers) -> Result<Self, Vec<String>> {
        let setting = "client_certificate_header";
        let mut problems: Vec<_> =
            peers.problems().iter().map(|problem| format!("{setting}: {problem}")).collect();
        let name = HeaderName::try_from(&header.name).ok();
        let name = name.filter(|name| ![AUTHORIZATION, COOKIE, HOST].contains(name));
        match &name {
            None => {
                let name = shown(&header.name);
                problems.push(format!("{setting}: `{name}` is not the name of such a header"));
            }
            Some(name) if peers.secret_header() == Some(name) => {
                problems.push(format!("{setting}: the secret and the certificate share a header"));
            }
            Some(_) => {}
        }
        if header.form == (Form::Xfcc { hops: 0 }) {
            problems.push(format!("{setting}: `xfcc` needs at least 1 hop"));
        }
        match (name, problems.is_empty()) {
            (Some(name), true) => Ok(Self { name, form: header.form, peers }),
            _ => Err(problems),
        }
    }

    pub(crate) fn name(&self) -> &HeaderName {
        &self.name
    }

    /// Whether the peer that sent this request may send the header.
    pub(crate) fn is_from_trusted(
        &self,
        peer: Option<PeerAddress>,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> bool {
        self.peers.include(peer, headers, extensions)
    }

    /// The certificate that a trusted peer sent. Returns `None` if the peer sent no certificate.
    ///
    /// # Errors
    /// If the header is malformed or repeated.
    pub(crate) fn read(&self, headers: &HeaderMap) -> Result<Option<Thumbprint>, Error> {
        let mut lines = headers.get_all(&self.name).into_iter();
        let Some(line) = lines.next() else { return Ok(None) };
        let found = match lines.next() {
            None => self.decode(line.as_bytes()),
            Some(_) => Err("it stands more than once"),
        };
        found.map_err(|problem| {
            let header = Excerpt::of(self.name.as_str());
            Error::MalformedCertificate { header, problem }
        })
    }

    fn decode(&self, value: &[u8]) -> Result<Option<Thumbprint>, Problem> {
        if value.len() > MAX_VALUE {
            return Err("it is larger than 64 KiB");
        }
        let value = value.trim_ascii();
        match self.form {
            Form::ByteSequence => byte_sequence(value),
            Form::Xfcc { hops } => xfcc::certificate(value, hops),
            Form::EscapedPem(count) => escaped_pem(value, count),
            Form::Base64DerOrEmpty if value.is_empty() => return Ok(None),
            Form::Base64Der | Form::Base64DerOrEmpty => base64_der(value),
            Form::BarePem => bare_pem(value),
        }
        .map(Some)
    }

    /// Removes what the inner service must not see: the secret, and the certificate header if the peer is
    /// not trusted.
    pub(crate) fn hide(
        &self,
        is_trusted: bool,
        headers: &mut HeaderMap,
        extensions: &mut Extensions,
    ) {
        self.peers.hide_secret(headers, extensions);
        if !is_trusted {
            headers.remove(&self.name);
            if self.form == Form::ByteSequence {
                headers.remove(CHAIN);
            }
        }
    }
}
