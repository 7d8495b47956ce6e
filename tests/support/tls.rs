//! TLS in front of a database, with a self-signed certificate.
#![allow(dead_code, clippy::allow_attributes, reason = "the benchmark counts no handshakes")]

use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::{
    error::Error,
    net::Ipv4Addr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring},
};

/// A server that speaks TLS and passes everything on to a server that does not.
pub struct Front {
    /// The URL of the server.
    pub url: String,
    /// The number of completed handshakes.
    pub handshakes: Arc<AtomicUsize>,
}

/// Puts TLS in front of the server at `plain`. Writes the certificate to the file `certificates`.
///
/// # Errors
/// The certificate cannot be made or written, or no port is free.
pub async fn front(plain: &str, certificates: &Path) -> Result<Front, Box<dyn Error>> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])?;
    std::fs::write(certificates, cert.pem())?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], signing_key.into())?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("https://localhost:{}", listener.local_addr()?.port());
    let plain = plain.trim_start_matches("http://").to_owned();
    let handshakes = Arc::<AtomicUsize>::default();
    let completed = Arc::clone(&handshakes);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, plain, completed) = (acceptor.clone(), plain.clone(), Arc::clone(&completed));
            tokio::spawn(async move {
                stream.set_nodelay(true)?;
                let mut client = acceptor.accept(stream).await?;
                completed.fetch_add(1, Ordering::Relaxed);
                let mut server = TcpStream::connect(plain).await?;
                server.set_nodelay(true)?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    Ok(Front { url, handshakes })
}
