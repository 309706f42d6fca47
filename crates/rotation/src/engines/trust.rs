//! TLS and the trusted certificates: Mozilla's roots, among them Amazon's own for Redshift, RDS
//! Proxy, ElastiCache and MSK; those of Amazon RDS where an engine needs them; and those of the
//! function's configuration.

use std::sync::Arc;
use std::time::Duration;

use lambda_kit::env::Env;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::bounded::Bounded;
use crate::engine::{EngineError, Server};

/// The timeout of one connection.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An invalid configuration of certificates.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The text is not PEM, or has no certificate.
    #[error("CA_CERTIFICATES must be one or more certificates in PEM form: {0}")]
    NotPem(String),
    /// The name is not a host name.
    #[error("TLS_SERVER_NAME is `{0}`, expected a host name, as in the server's certificate")]
    NotAName(String),
    /// A certificate is invalid.
    #[error("certificate {number} of CA_CERTIFICATES cannot be used as a root: {problem}")]
    NotARoot {
        /// The number of the certificate, counted from 1.
        number: usize,
        /// The reason.
        problem: String,
    },
}

/// Creates connections with TLS and a verified certificate.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

impl Tls {
    /// Reads the configuration from the environment: `CA_CERTIFICATES` has further roots in PEM
    /// form; `TLS_SERVER_NAME` is the name that certificates must have instead of the secret's
    /// host, for servers that are reached by another name.
    ///
    /// # Errors
    /// A variable is invalid.
    pub fn from_env(env: Env<'_>) -> Result<Self, TrustError> {
        Self::new(env.optional("CA_CERTIFICATES").as_deref(), env.optional("TLS_SERVER_NAME").as_deref())
    }

    /// Creates the configuration with further roots, and with another name than the host.
    ///
    /// # Errors
    /// One of them is invalid.
    pub fn new(pem: Option<&str>, name: Option<&str>) -> Result<Self, TrustError> {
        let name = name.map(|name| {
            ServerName::try_from(name.to_owned()).map_err(|_| TrustError::NotAName(name.to_owned()))
        });
        Ok(Self { config: Arc::new(client_config(pem)?), name: name.transpose()? })
    }

    /// Returns the configuration of rustls, for clients that create their own connection.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// Returns the name that the certificate of a host must have.
    pub fn server_name(&self, host: &str) -> Option<ServerName<'static>> {
        self.name.clone().or_else(|| ServerName::try_from(host.to_owned()).ok())
    }

    /// Opens a connection with TLS.
    ///
    /// # Errors
    /// [`EngineError::ServerUnreachable`] or [`EngineError::CertificateNotTrusted`].
    pub async fn connect(&self, server: &Server) -> Result<TlsStream<Bounded>, EngineError> {
        let stream = self.connect_plain(server).await?;
        self.wrap(server, stream).await
    }

    /// Opens a TCP connection, for protocols that request TLS themselves. It carries nothing secret
    /// before [`Tls::wrap`].
    ///
    /// # Errors
    /// [`EngineError::ServerUnreachable`].
    pub async fn connect_plain(&self, server: &Server) -> Result<Bounded, EngineError> {
        let unreachable =
            |problem: String| EngineError::ServerUnreachable { server: server.clone(), problem };
        let connecting = TcpStream::connect((server.host.as_str(), server.port));
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(stream)) => {
                // A request is written at once, and its response is awaited.
                stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
                Ok(Bounded::new(stream))
            }
            Ok(Err(error)) => Err(unreachable(error.to_string())),
            Err(_) => Err(unreachable(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()))),
        }
    }

    /// Starts TLS on a connection.
    ///
    /// # Errors
    /// [`EngineError::CertificateNotTrusted`] if the certificate is not trusted for this host,
    /// [`EngineError::ServerUnreachable`] if the connection broke.
    pub async fn wrap(&self, server: &Server, stream: Bounded) -> Result<TlsStream<Bounded>, EngineError> {
        let untrusted =
            |problem: String| EngineError::CertificateNotTrusted { server: server.clone(), problem };
        let name =
            self.server_name(&server.host).ok_or_else(|| untrusted("the host is not a valid name".into()))?;
        let shaking = TlsConnector::from(self.config()).connect(name, stream);
        match tokio::time::timeout(CONNECT_TIMEOUT, shaking).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
                Err(untrusted(error.to_string()))
            }
            Ok(Err(error)) => {
                Err(EngineError::ServerUnreachable { server: server.clone(), problem: error.to_string() })
            }
            Err(_) => Err(EngineError::ServerUnreachable {
                server: server.clone(),
                problem: format!("no TLS handshake within {} s", CONNECT_TIMEOUT.as_secs()),
            }),
        }
    }
}

/// Returns the configuration for TLS 1.2 or 1.3 that trusts the built-in roots and those in `pem`.
///
/// # Errors
/// `pem` contains something else than certificates.
fn client_config(pem: Option<&str>) -> Result<ClientConfig, TrustError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    #[cfg(feature = "rds-roots")]
    roots.add_parsable_certificates(rds_roots());
    if let Some(pem) = pem {
        let own: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| TrustError::NotPem(error.to_string()))?;
        if own.is_empty() {
            return Err(TrustError::NotPem("it has no certificate".into()));
        }
        for (index, certificate) in own.into_iter().enumerate() {
            roots
                .add(certificate)
                .map_err(|error| TrustError::NotARoot { number: index + 1, problem: error.to_string() })?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    // ring supports every protocol version of this build of rustls.
    #[allow(clippy::expect_used)]
    let builder = builder.expect("ring supports the default protocol versions");
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Returns the roots of Amazon RDS, which no public authority has signed.
#[cfg(feature = "rds-roots")]
fn rds_roots() -> impl Iterator<Item = CertificateDer<'static>> {
    const PEM: &[u8] = include_bytes!("../../certificates/amazon-rds.pem");
    CertificateDer::pem_slice_iter(PEM).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "rds-roots")]
    #[test]
    fn roots_of_27_regions_are_built_in() {
        let mut roots = RootCertStore::empty();
        assert_eq!(roots.add_parsable_certificates(rds_roots()), (81, 0));
        // Subjects are DER; the Region's name is in them as text.
        let of = |region: &str| {
            let name = format!("Amazon RDS {region} Root CA");
            let named = |subject: &[u8]| subject.windows(name.len()).any(|part| part == name.as_bytes());
            roots.roots.iter().filter(|root| named(&root.subject)).count()
        };
        assert_eq!(["us-east-1", "eu-central-1", "ap-southeast-2", "sa-east-1"].map(of), [3; 4]);
    }

    #[test]
    fn invalid_certificates_are_rejected() {
        for text in ["", "hello", "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"] {
            let error = client_config(Some(text)).unwrap_err().to_string();
            assert!(error.contains("CA_CERTIFICATES"), "{error}");
        }
        assert!(client_config(None).is_ok());
    }

    #[test]
    fn server_name_must_be_a_host_name() {
        let error = Tls::new(None, Some("not a name")).err().map(|error| error.to_string());
        assert!(error.is_some_and(|text| text.contains("TLS_SERVER_NAME") && text.contains("`not a name`")));
        let tls = Tls::new(None, Some("db.example.com")).unwrap();
        assert_eq!(tls.server_name("10.0.0.1"), ServerName::try_from("db.example.com").ok());
    }
}
