//! The server's certificate, read again when its files change.
//!
//! A broken pair of files is refused at the start; later it is reported and the
//! former certificate stays in use. Connections that exist keep the one they began with.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem;
use rustls_pki_types::pem::PemObject;
use tokio_rustls::TlsAcceptor;

/// Where certificate and key are.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The chain of certificates, in PEM.
    pub certificate: PathBuf,
    /// The private key, in PEM.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read as PEM.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The file holds no certificate.
    #[error("{path} holds no certificate")]
    NoCertificate {
        /// Which.
        path: PathBuf,
    },
    /// Certificate and key do not fit together, or are of a kind that is not supported.
    #[error("the certificate and its key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// The certificate in use.
#[derive(Debug)]
pub struct Certificate {
    files: TlsFiles,
    config: RwLock<Arc<ServerConfig>>,
    seen: Mutex<Option<[SystemTime; 2]>>,
}

impl Certificate {
    /// Reads the files. Blocks for a moment.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let seen = Mutex::new(modified(&files).ok());
        let config = RwLock::new(read(&files)?);
        Ok(Self {
            files,
            config,
            seen,
        })
    }

    /// Returns what accepts connections with the present certificate.
    pub fn acceptor(&self) -> TlsAcceptor {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&config))
    }

    /// Reads the files again; on failure the present certificate stays. Blocks for a moment.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = read(&self.files)?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Reads the files again if one has changed; returns whether it did. Blocks for a moment.
    pub fn reload_if_changed(&self) -> Result<bool, TlsError> {
        // While a file is being replaced it may be missing: the next look will find it.
        let Ok(now) = modified(&self.files) else {
            return Ok(false);
        };
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen == Some(now) {
                return Ok(false);
            }
            *seen = Some(now);
        }
        self.reload()?;
        Ok(true)
    }
}

fn modified(files: &TlsFiles) -> io::Result<[SystemTime; 2]> {
    Ok([
        std::fs::metadata(&files.certificate)?.modified()?,
        std::fs::metadata(&files.key)?.modified()?,
    ])
}

fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let fault = |path: &PathBuf| {
        let path = path.clone();
        move |source| TlsError::File { path, source }
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(fault(&files.certificate))?;
    if chain.is_empty() {
        let path = files.certificate.clone();
        return Err(TlsError::NoCertificate { path });
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(fault(&files.key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
