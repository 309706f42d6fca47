//! Whose certificates are trusted: Mozilla's roots, among them Amazon's, and those of the function's configuration.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Why the configured certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Not PEM, or no certificate in it.
    #[error("CA_CERTIFICATES is not one or several certificates in PEM form: {0}")]
    NotPem(String),
    /// A certificate that is none.
    #[error("certificate {number} of CA_CERTIFICATES cannot be used as a root: {problem}")]
    NotARoot {
        /// Counted from 1.
        number: usize,
        /// Why.
        problem: String,
    },
}

/// TLS 1.2 or 1.3 with certificates checked against the roots, and against those in `pem`.
///
/// # Errors
/// `pem` holds something else than certificates.
pub fn client_config(pem: Option<&str>) -> Result<ClientConfig, TrustError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_that_are_none_are_refused_with_the_variables_name() {
        for text in ["", "hello", "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"] {
            let error = client_config(Some(text)).unwrap_err().to_string();
            assert!(error.contains("CA_CERTIFICATES"), "{error}");
        }
        assert!(client_config(None).is_ok());
    }
}
