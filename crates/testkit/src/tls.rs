//! A server's certificate for one test, made by `openssl`: whoever trusts it takes the test for any host it names.

use std::{process::Command, sync::Arc};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

/// A certificate that is its own authority, with its key.
#[derive(Clone)]
pub struct TlsIdentity {
    authority: String,
    pub(crate) acceptor: TlsAcceptor,
}

impl TlsIdentity {
    /// For hosts of these names.
    ///
    /// # Panics
    /// When there is no `openssl`, or no name.
    #[must_use]
    pub fn of_hosts(names: &[&str]) -> Self {
        let all: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
        let output = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "2"])
            .args(["-subj", "/CN=An authority of this test", "-keyout", "/dev/stdout", "-out", "/dev/stdout"])
            .args(["-addext", &format!("subjectAltName={}", all.join(","))])
            .output()
            .expect("openssl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let certificate = CertificateDer::from_pem_slice(&output.stdout).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(&output.stdout).expect("a key");
        let told = String::from_utf8_lossy(&output.stdout);
        let begin = told.find("-----BEGIN CERTIFICATE-----").expect("a certificate");
        let authority = told.get(begin..).unwrap_or_default().trim().to_owned();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key))
            .expect("a usable certificate");
        Self { authority, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    /// What has to be trusted, as PEM. No key is in it.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}
