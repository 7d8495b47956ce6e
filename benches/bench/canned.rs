//! A DynamoDB that answers from memory, each call after the same time.
//!
//! It has a thread for each connection, because a sleeping thread wakes up more precisely than a timer of tokio.

use crate::{Result, http};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring};
use std::{
    io::{BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

/// The owner of the sample's call, and the client to delete.
const FOUND: &str = include_str!("found.json");

/// The server's self-signed certificate.
pub(crate) struct Certificate {
    pub(crate) pem: String,
    tls: Arc<ServerConfig>,
}

impl Certificate {
    pub(crate) fn new() -> Result<Self> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])?;
        let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], signing_key.into())?;
        Ok(Self { pem: cert.pem(), tls: Arc::new(tls) })
    }
}

/// Starts a database that answers each call after `delay`. With a certificate, it uses TLS. Returns its URL.
pub(crate) fn start(certificate: Option<&Certificate>, delay: Duration) -> Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let scheme = if certificate.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://localhost:{}", listener.local_addr()?.port());
    let tls = certificate.map(|certificate| Arc::clone(&certificate.tls));
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let tls = tls.clone();
            // An error is normal: the process is killed while the connection is open.
            thread::spawn(move || drop(connected(stream, tls, delay)));
        }
    });
    Ok(url)
}

fn connected(stream: TcpStream, tls: Option<Arc<ServerConfig>>, delay: Duration) -> Result<()> {
    stream.set_nodelay(true)?;
    match tls {
        Some(tls) => serve(StreamOwned::new(ServerConnection::new(tls)?, stream), delay),
        None => serve(stream, delay),
    }
}

fn serve(stream: impl Read + Write, delay: Duration) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let fields = [
        ("server", "Server"),
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amzn-requestid", "BENCH0000000000000000000000000000000000000000000000"),
    ];
    let found = http::answer("200 OK", &fields, FOUND);
    let written = http::answer("200 OK", &fields, "{}");
    while let Some(request) = http::read_request(&mut stream)? {
        thread::sleep(delay);
        let is_read =
            http::header(&request.head, "x-amz-target").is_some_and(|target| target.ends_with(".BatchGetItem"));
        stream.get_mut().write_all(if is_read { &found } else { &written })?;
    }
    Ok(())
}
