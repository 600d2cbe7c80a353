//! The client's certificate in a header of a proxy.

use clap::ValueEnum;
use tower_resource_server::builder::Builder;
use tower_resource_server::sender::{ProxyHeader, TrustedPeers};

/// Client certificates.
#[derive(clap::Args)]
#[command(next_help_heading = "Client certificates in a header of a proxy")]
pub struct Proxy {
    /// The form of the header. A token that is bound to a certificate is accepted with that certificate.
    #[arg(long, value_enum, value_name = "FORM", requires = "trusted_proxy")]
    pub mtls_header: Option<Form>,
    /// The addresses of the proxies that may send the header; may be given more than once.
    #[arg(long, value_name = "CIDR", requires = "mtls_header")]
    pub trusted_proxy: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// `Client-Cert` (RFC 9440).
    ClientCert,
    /// `X-Forwarded-Client-Cert` of one Envoy.
    Xfcc,
    /// `ssl-client-cert`, with nginx's `$ssl_client_escaped_cert`.
    Nginx,
    /// `x-ssl-client-der`, with HAProxy's `%[ssl_c_der,base64]`.
    Haproxy,
    /// `X-Forwarded-Tls-Client-Cert` of Traefik.
    Traefik,
    /// `X-Amzn-Mtls-Clientcert-Leaf` of an AWS load balancer.
    Aws,
    /// `X-ARR-ClientCert` of Azure App Service.
    Azure,
}

impl Proxy {
    pub fn set<S, C, R>(&self, builder: Builder<S, C, R>) -> Builder<S, C, R> {
        let header = match self.mtls_header {
            None => return builder,
            Some(Form::ClientCert) => ProxyHeader::client_cert(),
            Some(Form::Xfcc) => ProxyHeader::xfcc(1),
            Some(Form::Nginx) => ProxyHeader::nginx("ssl-client-cert"),
            Some(Form::Haproxy) => ProxyHeader::haproxy("x-ssl-client-der"),
            Some(Form::Traefik) => ProxyHeader::traefik(),
            Some(Form::Aws) => ProxyHeader::aws_alb(),
            Some(Form::Azure) => ProxyHeader::azure(),
        };
        builder.client_certificate_header(header, TrustedPeers::cidrs(&self.trusted_proxy))
    }
}
