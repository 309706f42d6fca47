//! The certificates of servers: a CA for this run, and a server certificate that it signed.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::ServerError;

/// PEM texts of the server certificate and its key.
#[derive(Clone)]
pub struct ServerCertificate {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl std::fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerCertificate").finish_non_exhaustive()
    }
}

/// Creates a CA and a server certificate for 127.0.0.1 and localhost; writes the CA's certificate
/// to `ca_file`.
///
/// # Errors
/// The file cannot be written.
pub fn make(name: &str, ca_file: &Path) -> Result<ServerCertificate, ServerError> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.distinguished_name.push(DnType::CommonName, format!("Sluice local {name} CA"));
    let ca_certificate = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, ca_key);

    let key = KeyPair::generate()?;
    let mut server = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    server.distinguished_name.push(DnType::CommonName, "127.0.0.1");
    let certificate = server.signed_by(&key, &issuer)?;

    std::fs::write(ca_file, ca_certificate.pem())
        .map_err(|source| ServerError::file("cannot write the CA certificate", ca_file, source))?;
    Ok(ServerCertificate { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// Returns an acceptor of TLS connections with this certificate.
///
/// # Errors
/// The certificate cannot be used.
pub fn acceptor(certificate: &ServerCertificate) -> Result<TlsAcceptor, ServerError> {
    let failed = |problem: String| ServerError::Program { program: "TLS".to_owned(), output: problem };
    let chain = CertificateDer::pem_slice_iter(certificate.certificate.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|error| failed(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes());
    let key = key.map_err(|error| failed(error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    Ok(TlsAcceptor::from(Arc::new(config.map_err(|error| failed(error.to_string()))?)))
}
