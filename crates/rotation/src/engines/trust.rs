//! Whose certificates are trusted: Mozilla's roots, among them Amazon's own for Redshift, RDS Proxy, ElastiCache and MSK; those of Amazon RDS
//! where an engine needs them; and those of the function's configuration.

use std::sync::Arc;
use std::time::Duration;

use lambda_kit::env::Env;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::engine::{EngineError, Server};

/// How long one connection may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the configured certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Not PEM, or no certificate in it.
    #[error("CA_CERTIFICATES is not one or several certificates in PEM form: {0}")]
    NotPem(String),
    /// No host name.
    #[error("TLS_SERVER_NAME is `{0}`, expected a host name, as it stands in the server's certificate")]
    NotAName(String),
    /// A certificate that is none.
    #[error("certificate {number} of CA_CERTIFICATES cannot be used as a root: {problem}")]
    NotARoot {
        /// Counted from 1.
        number: usize,
        /// Why.
        problem: String,
    },
}

/// How connections are made: TLS, always, with a certificate that is checked.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

impl Tls {
    /// From the environment: `CA_CERTIFICATES`, further roots in PEM form; `TLS_SERVER_NAME`, the name that certificates must have
    /// instead of the host of the secret, for servers that are reached by another name than their own.
    ///
    /// # Errors
    /// A variable makes no sense.
    pub fn from_env(env: Env<'_>) -> Result<Self, TrustError> {
        Self::new(env.optional("CA_CERTIFICATES").as_deref(), env.optional("TLS_SERVER_NAME").as_deref())
    }

    /// With further roots, and with another name than the host.
    ///
    /// # Errors
    /// One of them is none.
    pub fn new(pem: Option<&str>, name: Option<&str>) -> Result<Self, TrustError> {
        let name = name.map(|name| {
            ServerName::try_from(name.to_owned()).map_err(|_| TrustError::NotAName(name.to_owned()))
        });
        Ok(Self { config: Arc::new(client_config(pem)?), name: name.transpose()? })
    }

    /// rustls's own configuration, for clients that bring their own connection.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// The name that the certificate of a host must have.
    pub fn server_name(&self, host: &str) -> Option<ServerName<'static>> {
        self.name.clone().or_else(|| ServerName::try_from(host.to_owned()).ok())
    }

    /// A connection, ready for the server's own protocol.
    ///
    /// # Errors
    /// [`EngineError::Unreachable`] or [`EngineError::Untrusted`].
    pub async fn connect(&self, server: &Server) -> Result<TlsStream<TcpStream>, EngineError> {
        let stream = self.connect_plain(server).await?;
        self.wrap(server, stream).await
    }

    /// A TCP connection, for protocols that ask for TLS themselves. Nothing secret goes over it before [`Tls::wrap`].
    ///
    /// # Errors
    /// [`EngineError::Unreachable`].
    pub async fn connect_plain(&self, server: &Server) -> Result<TcpStream, EngineError> {
        let unreachable = |problem: String| EngineError::Unreachable { server: server.clone(), problem };
        let connecting = TcpStream::connect((server.host.as_str(), server.port));
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(unreachable(error.to_string())),
            Err(_) => Err(unreachable(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()))),
        }
    }

    /// TLS on a connection.
    ///
    /// # Errors
    /// [`EngineError::Untrusted`] if the certificate is none that is trusted for this host, [`EngineError::Unreachable`] if the connection broke.
    pub async fn wrap(
        &self,
        server: &Server,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, EngineError> {
        let untrusted = |problem: String| EngineError::Untrusted { server: server.clone(), problem };
        let name = self.server_name(&server.host).ok_or_else(|| untrusted("the host is no name".into()))?;
        let shaking = TlsConnector::from(self.config()).connect(name, stream);
        match tokio::time::timeout(CONNECT_TIMEOUT, shaking).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
                Err(untrusted(error.to_string()))
            }
            Ok(Err(error)) => {
                Err(EngineError::Unreachable { server: server.clone(), problem: error.to_string() })
            }
            Err(_) => Err(EngineError::Unreachable {
                server: server.clone(),
                problem: format!("no TLS within {} s", CONNECT_TIMEOUT.as_secs()),
            }),
        }
    }
}

/// TLS 1.2 or 1.3 with certificates checked against the roots, and against those in `pem`.
///
/// # Errors
/// `pem` holds something else than certificates.
fn client_config(pem: Option<&str>) -> Result<ClientConfig, TrustError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    #[cfg(feature = "rds-roots")]
    roots.add_parsable_certificates(rds_roots());
    if let Some(pem) = pem {
        let own: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| TrustError::NotPem(error.to_string()))?;
        if own.is_empty() {
            return Err(TrustError::NotPem("there is none in it".into()));
        }
        for (index, certificate) in own.into_iter().enumerate() {
            roots
                .add(certificate)
                .map_err(|error| TrustError::NotARoot { number: index + 1, problem: error.to_string() })?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    // ring supports every protocol version that rustls is built with here.
    #[allow(clippy::expect_used)]
    let builder = builder.expect("ring supports the default protocol versions");
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The roots of Amazon RDS, which no public authority has signed.
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
    fn three_roots_of_each_of_27_regions_are_built_in_and_usable() {
        let mut roots = RootCertStore::empty();
        assert_eq!(roots.add_parsable_certificates(rds_roots()), (81, 0));
        // Subjects are DER; the Region's name stands in them as it is.
        let of = |region: &str| {
            let name = format!("Amazon RDS {region} Root CA");
            let named = |subject: &[u8]| subject.windows(name.len()).any(|part| part == name.as_bytes());
            roots.roots.iter().filter(|root| named(&root.subject)).count()
        };
        assert_eq!(["us-east-1", "eu-central-1", "ap-southeast-2", "sa-east-1"].map(of), [3; 4]);
    }

    #[test]
    fn certificates_that_are_none_are_refused_with_the_variables_name() {
        for text in ["", "hello", "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"] {
            let error = client_config(Some(text)).unwrap_err().to_string();
            assert!(error.contains("CA_CERTIFICATES"), "{error}");
        }
        assert!(client_config(None).is_ok());
    }

    #[test]
    fn another_name_than_the_host_must_be_one() {
        let error = Tls::new(None, Some("not a name")).err().map(|error| error.to_string());
        assert!(error.is_some_and(|text| text.contains("TLS_SERVER_NAME") && text.contains("`not a name`")));
        let tls = Tls::new(None, Some("db.example.com")).unwrap();
        assert_eq!(tls.server_name("10.0.0.1"), ServerName::try_from("db.example.com").ok());
    }
}
