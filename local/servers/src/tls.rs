//! The certificates of servers: a CA of this run, one server certificate below it.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

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

/// Makes a CA and a server certificate for 127.0.0.1 and localhost; writes the CA's certificate to `ca_file`.
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
