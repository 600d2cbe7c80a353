//! The client's certificate in a header of a proxy.

use clap::ValueEnum;
use tower_resource_server::builder::Builder;
use tower_resource_server::sender::{ProxyHeader, TrustedPeers};

/// Client certificates.
#[derive(clap::Args)]
#[command(next_help_heading = "Client certificates in a header of a proxy")]
pub struct Proxy {
    /// The form of the header. Tokens that are bound to a certificate are then accepted with that certificate.
    #[arg(long, value_enum, value_name = "FORM", requires = "trusted_proxy")]
    pub mtls_header: Option<Form>,
    /// The addresses of the proxies that may send the header; may be given more than once.
    #[arg(long, value_name = "CIDR", requires = "mtls_header")]
    pub trusted_proxy: Vec<String>,
    /// xfcc: the number of trusted proxies in a row, each of which adds an element to the header. The default is 1.
    #[arg(long, value_name = "N", requires = "mtls_header")]
    pub mtls_hops: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// `Client-Cert` (RFC 9440).
    ClientCert,
    /// `X-Forwarded-Client-Cert` of Envoy; for several Envoys in a row, set --mtls-hops, too.
    Xfcc,
    /// `ssl-client-cert`, with nginx's `$ssl_client_escaped_cert`.
    Nginx,
    /// `x-ssl-client-der`, with HAProxy's `%[ssl_c_der,base64]`.
    Haproxy,
    /// `X-Forwarded-Tls-Client-Cert` of Traefik.
    Traefik,
    /// `X-Amzn-Mtls-Clientcert-Leaf` of an AWS load balancer.
    #[value(alias = "alb")]
    Aws,
    /// `X-ARR-ClientCert` of Azure App Service.
    Azure,
}

impl Proxy {
    pub fn set<S, C, R>(&self, builder: Builder<S, C, R>) -> Result<Builder<S, C, R>, String> {
        let Some(form) = self.mtls_header else { return Ok(builder) };
        if self.mtls_hops.is_some() && form != Form::Xfcc {
            return Err("--mtls-hops plays no part with this --mtls-header".to_owned());
        }
        let header = match form {
            Form::ClientCert => ProxyHeader::client_cert(),
            Form::Xfcc => ProxyHeader::xfcc(self.mtls_hops.unwrap_or(1)),
            Form::Nginx => ProxyHeader::nginx("ssl-client-cert"),
            Form::Haproxy => ProxyHeader::haproxy("x-ssl-client-der"),
            Form::Traefik => ProxyHeader::traefik(),
            Form::Aws => ProxyHeader::aws_alb(),
            Form::Azure => ProxyHeader::azure(),
        };
        Ok(builder.client_certificate_header(header, TrustedPeers::cidrs(&self.trusted_proxy)))
    }
}
