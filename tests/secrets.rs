//! No answer, no line of the log and nothing in the table ever holds a secret or a token.
//!
//! The log is everything that the process says at TRACE: this crate, the Lambda runtime, the SDK, the HTTP client, and
//! the embedded database too.
#![expect(clippy::unwrap_used, reason = "tests fail so")]

mod support;

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD},
};
use deregister::event::Answer;
use lambda_http::tracing::subscriber;
use serde_json::json;
use std::{
    io::{self, Write},
    sync::Mutex,
};
use support::{Lab, basic, bearer, event, sample};

/// All that has been logged.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn look() {
    subscriber::fmt().with_max_level(subscriber::filter::LevelFilter::TRACE).with_writer(|| Log).init();
    let lab = Lab::with_samples().await;
    LOG.lock().unwrap().clear();
    let path = format!("/config/{}/clients/{}", sample::APPLICATION, sample::TARGET);
    lab.send("DELETE", &path, Some(&basic(sample::OWNER)), "").await;
    lab.send("DELETE", "/config/a/clients/b%0AINFO%20forged", Some(&basic(sample::OWNER)), "").await;
    lab.send(
        "POST",
        &format!("/api/{}/client/registration/delete", sample::SERVICE),
        Some(&bearer(sample::SERVICE_TOKEN)),
        &json!({"clientId": "1140735077\nforged", "token": "x"}).to_string(),
    )
    .await;
    println!("{}", String::from_utf8_lossy(&LOG.lock().unwrap()));
}
