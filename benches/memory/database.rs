//! A DynamoDB that answers from memory over TLS, each call after the same time.
//!
//! It has a thread for each connection, because a thread wakes up more exactly than a timer of tokio.

use crate::{
    Result, http,
    sample::{APPLICATION, OWNER, TARGET},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    io::{BufReader, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

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

/// Starts a database. Returns its URL.
pub(crate) fn start(certificate: &Certificate, delay: Duration) -> Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("https://localhost:{}", listener.local_addr()?.port());
    let tls = Arc::clone(&certificate.tls);
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let tls = Arc::clone(&tls);
            // A connection ends with an error when its process is killed.
            thread::spawn(move || drop(serve(stream, tls, delay)));
        }
    });
    Ok(url)
}

fn serve(stream: TcpStream, tls: Arc<ServerConfig>, delay: Duration) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(tls)?, stream));
    let fields = [
        ("server", "Server"),
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amzn-requestid", "BENCH0000000000000000000000000000000000000000000000"),
    ];
    let found = json!({ "Responses": { "clients": [client(OWNER.0, &["owner"]), client(TARGET, &["login_client"])] } });
    let found = http::answer("200 OK", &fields, &found.to_string());
    let written = http::answer("200 OK", &fields, "{}");
    while let Some(request) = http::read_request(&mut stream)? {
        thread::sleep(delay);
        let is_read =
            http::header(&request.head, "x-amz-target").is_some_and(|target| target.ends_with(".BatchGetItem"));
        stream.get_mut().write_all(if is_read { &found } else { &written })?;
    }
    Ok(())
}

/// The item of a client, with the secret of the sample's owner.
fn client(id: &str, features: &[&str]) -> Value {
    let features: Vec<_> = features.iter().map(|feature| json!({ "S": feature })).collect();
    let digest = BASE64_STANDARD.encode(Sha256::digest(OWNER.1));
    json!({
        "pk": { "S": format!("client#{id}") },
        "client": { "M": {
            "kind": { "S": "api" },
            "app_id": { "S": APPLICATION },
            "name": { "S": "Bench" },
            "features": { "L": features },
            "ip_allow_list": { "L": [] },
            "secrets": { "L": [{ "M": { "digest": { "B": digest } } }] },
            "protected": { "BOOL": false },
            "version": { "N": "1" },
        } },
    })
}
