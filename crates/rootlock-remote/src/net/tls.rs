//! Whom a connection is with: TLS with libpq's modes.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::CONNECT;
use crate::fault::Fault;
use crate::url::{Link, Tls};

pub(super) async fn wrap(
    link: &Link,
    name: &str,
    stream: TcpStream,
    protocols: &[&[u8]],
) -> Result<TlsStream<TcpStream>, Fault> {
    let mut config = config(link)?;
    config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).map_err(|_| {
        Fault::new(CONNECT, io::ErrorKind::InvalidInput, format!("{name:?} is no host name"))
    })?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    connected.map_err(|error| {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(rustls::Error::InvalidCertificate(why)) => {
                Fault::new(CONNECT, io::ErrorKind::PermissionDenied, refusal(link, why))
            }
            _ => Fault::away(CONNECT, error.kind(), format!("TLS failed: {error}")),
        }
    })
}

/// Why the certificate is not accepted, and what to do.
fn refusal(link: &Link, why: &CertificateError) -> String {
    match why {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate is for another host: use the name that it is for, or say sslmode=verify-ca \
             in the URL"
                .into()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired: renew it".into()
        }
        _ if link.root_cert.is_some() => format!(
            "the server's certificate is not signed by a certificate in the URL's sslrootcert: {why}"
        ),
        _ => format!(
            "the server's certificate is not trusted: name the certificate of its authority in the URL, \
             sslrootcert=/path/to/root.pem: {why}"
        ),
    }
}

fn config(link: &Link) -> Result<ClientConfig, Fault> {
    let provider = Arc::new(ring::default_provider());
    let versions = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::new(CONNECT, io::ErrorKind::Unsupported, error.to_string()))?;
    let verifier: Arc<dyn ServerCertVerifier> = match link.tls {
        Tls::Disable | Tls::Prefer | Tls::Require => Arc::new(Unverified(provider)),
        Tls::VerifyCa => Arc::new(AnyName(chain(link, provider)?)),
        Tls::VerifyFull => chain(link, provider)?,
    };
    let verified = versions.dangerous().with_custom_certificate_verifier(verifier);
    let Some((cert, key)) = &link.identity else { return Ok(verified.with_no_client_auth()) };
    let fault = |path: &Path, why: String| {
        let words = format!("the client's {} can't be used: {why}", path.display());
        Fault::new("open", io::ErrorKind::InvalidInput, words)
    };
    let chain = certificates(cert).map_err(|why| fault(cert, why))?;
    let own_key =
        PrivateKeyDer::from_pem_file(key).map_err(|error| fault(key, error.to_string()))?;
    verified.with_client_auth_cert(chain, own_key).map_err(|error| fault(cert, error.to_string()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = |error: rustls::pki_types::pem::Error| error.to_string();
    let all = CertificateDer::pem_file_iter(path).map_err(read)?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(read)?;
    if all.is_empty() {
        return Err("it has no certificate in PEM form".into());
    }
    Ok(all)
}

fn chain(link: &Link, provider: Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, Fault> {
    let mut roots = RootCertStore::empty();
    match &link.root_cert {
        Some(path) => {
            let fault = |why: String| {
                let words = format!("sslrootcert {} can't be used: {why}", path.display());
                Fault::new("open", io::ErrorKind::NotFound, words)
            };
            for one in certificates(path).map_err(fault)? {
                roots.add(one).map_err(|error| fault(error.to_string()))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                let words = "this system trusts no certificate: name the one of the server's authority in the \
                             URL, sslrootcert=/path/to/root.pem";
                return Err(Fault::new(CONNECT, io::ErrorKind::NotFound, words));
            }
        }
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| Fault::new(CONNECT, io::ErrorKind::InvalidInput, error.to_string()))
}

/// `verify-ca`: signed by somebody trusted, for whatever host.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The name is checked last.
        match self.0.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// `require` and `prefer`: encrypted, with whomever it is, as libpq means them.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
