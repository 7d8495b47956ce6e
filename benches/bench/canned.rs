//! A database that answers each delete from memory, so that it is not the limit: threads that block.

use crate::{
    Result,
    platform::read_body,
    sample::{APPLICATION, OWNER, TARGET},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use deregister::model::Digest;
use serde_json::{Value, json};
use std::{
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

/// Starts the database. Returns its address.
pub(crate) fn start() -> Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}", listener.local_addr()?);
    let found = json!({ "Responses": { "clients": [client(OWNER.0, &["owner"]), client(TARGET, &[])] } }).to_string();
    let found = Arc::new(found);
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let found = Arc::clone(&found);
            thread::spawn(move || serve(connection, &found));
        }
    });
    Ok(url)
}

/// Answers each read with both clients, and each write with a success.
fn serve(connection: TcpStream, found: &str) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut writer = connection.try_clone()?;
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        let body = read_body(&mut reader)?;
        let answer = if body.starts_with(br#"{"RequestItems""#) { found } else { "{}" };
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        );
        writer.write_all(answer.as_bytes())?;
        line.clear();
    }
    Ok(())
}

/// The item of an API client with the owner's secret.
fn client(id: &str, features: &[&str]) -> Value {
    let text = |text: &str| json!({ "S": text });
    let features: Vec<Value> = features.iter().map(|feature| text(feature)).collect();
    let digest = BASE64_STANDARD.encode(Digest::of(OWNER.1).as_bytes());
    json!({
        "pk": text(&format!("client#{id}")),
        "client": { "M": {
            "kind": text("api"),
            "app_id": text(APPLICATION),
            "name": text("Bench"),
            "features": { "L": features },
            "ip_allow_list": { "L": [] },
            "secrets": { "L": [{ "M": { "digest": { "B": digest } } }] },
            "protected": { "BOOL": false },
            "version": { "N": "1" },
        } },
    })
}
