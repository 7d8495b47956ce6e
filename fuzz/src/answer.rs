//! Answers, and the checks that every answer passes.

use crate::{
    now, sample,
    table::{Calls, Table},
};
use deregister::{
    functions::{Delete, Environment},
    http::event::Event,
    settings::{Endpoints, Variables},
    telemetry,
};
use lambda_http::{LambdaEvent, lambda_runtime::Context};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io, mem,
    sync::{LazyLock, Mutex, PoisonError},
};
use tokio::runtime::{Builder, Runtime};

/// An answer as the platform receives it, and the table's calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Option<Value>,
    pub calls: Calls,
}

/// The maximum length of a log line for a request on the sample data.
const MAX_LINE_BYTES: usize = 2048;

/// Invokes the function over this table with an event, and checks the answer. `None`: the bytes are not JSON.
pub fn invoke(table: &Table, event: &[u8]) -> Option<Answer> {
    invoke_with(&Endpoints::read(&Variables::default()).expect("the defaults"), table, event)
}

/// Like [`invoke`], with these settings.
pub fn invoke_with(endpoints: &Endpoints, table: &Table, event: &[u8]) -> Option<Answer> {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));
    let event: Event = serde_json::from_slice(event).ok()?;
    let function = Delete::new(table.clone(), endpoints.clone(), now, Environment::default());
    let mut context = Context::default();
    "this".clone_into(&mut context.request_id);
    let Ok(event_response) = RUNTIME.block_on(function.call(LambdaEvent::new(event, context)));

    let sent = serde_json::to_value(&event_response).expect("a response that can be serialized");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let answer = Answer {
        status: event_response.response.status().as_u16(),
        headers: sent["headers"]
            .as_object()
            .expect("header fields")
            .iter()
            .map(|(k, v)| (k.clone(), text(v)))
            .collect(),
        body: sent.get("body").map(|body| serde_json::from_str(&text(body)).expect("a body in JSON")),
        calls: table.take_calls(),
    };
    answer.check();
    Some(answer)
}

/// Like [`invoke`], for an event as JSON.
pub fn invoke_json(table: &Table, event: &Value) -> Answer {
    invoke(table, event.to_string().as_bytes()).expect("an event")
}

impl Answer {
    /// Whether the answer reports that the client was deleted.
    pub fn reports_deletion(&self) -> bool {
        self.status == 204 || self.body.as_ref().is_some_and(|body| body["action"] == "DELETED")
    }

    /// Checks that `docs/api.md` allows the status, the form and the header fields, over a table that never fails.
    fn check(&self) {
        let field = |name: &str| self.headers.get(name).map(String::as_str);
        assert_eq!((field("cache-control"), field("pragma")), (Some("no-store"), Some("no-cache")), "{self:?}");
        assert!(self.calls.reads.len() <= 1 && self.calls.writes.len() <= 1, "{self:?}");
        assert_eq!(self.reports_deletion(), self.calls.writes.len() == 1, "{self:?}");
        let Some(body) = &self.body else {
            assert_eq!((self.status, self.headers.len()), (204, 2), "{self:?}");
            return;
        };

        let mut members: Vec<&str> = body.as_object().expect("an object").keys().map(String::as_str).collect();
        members.sort_unstable();
        let (statuses, challenged): (&[u16], &[u16]) = match members[..] {
            ["errors"] => (&[401, 403, 404, 405, 412], &[401]),
            ["error", "error_description"] => (&[400, 401, 403, 404, 405, 412], &[400, 401, 403]),
            ["resultCode", "resultMessage"] => (&[400, 401, 403, 405], &[401]),
            ["action", "client" | "responseContent", "resultCode", "resultMessage"] => (&[200], &[]),
            _ => panic!("{self:?}"),
        };
        assert!(statuses.contains(&self.status), "{self:?}");
        let mut fields = vec!["cache-control", "content-type", "pragma"];
        fields.extend((self.status == 405).then_some("allow"));
        fields.extend(challenged.contains(&self.status).then_some("www-authenticate"));
        fields.sort_unstable();
        assert_eq!(self.headers.keys().collect::<Vec<_>>(), fields, "{self:?}");
        assert_eq!(field("content-type"), Some("application/json"));
        if let Some(content) = body.get("responseContent") {
            let content: Value = serde_json::from_str(content.as_str().expect("a text")).expect("JSON in JSON");
            assert_eq!(content["error_description"], body["resultMessage"]);
        }
    }

    /// Checks that the installed log has one line of JSON about this answer, that the line is short, and that it contains
    /// no secret.
    pub fn check_log(&self) {
        let log = Log::take();
        let line: Value = serde_json::from_str(&log).expect("one line of JSON");
        assert_eq!(line["status"], json!(self.status));
        assert!(log.ends_with('\n') && log.trim_end().lines().count() == 1 && log.len() <= MAX_LINE_BYTES, "{log}");
        assert!(SECRETS.iter().all(|secret| !log.contains(secret)), "{log}");
    }
}

/// The secrets and tokens of the sample data that a rule accepts.
const SECRETS: [&str; 9] = [
    sample::OWNER.1,
    sample::OWNER_ELSEWHERE.1,
    sample::SERVICE_TOKEN,
    sample::ORGANIZATION_TOKEN,
    sample::FOREIGN_TOKEN,
    sample::CLIENT.1,
    sample::STRICT_CLIENT.1,
    sample::CLOSED_CLIENT.1,
    sample::RFC_CLIENT.1,
];

/// The log. It collects lines until [`Log::take`] takes them.
pub struct Log;

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

impl Log {
    /// Installs the log.
    pub fn install() {
        let lines = telemetry::subscriber(None, now, || Log);
        tracing::subscriber::set_global_default(lines).expect("the only subscriber");
    }

    /// Takes the lines.
    fn take() -> String {
        String::from_utf8(mem::take(&mut *LOG.lock().unwrap_or_else(PoisonError::into_inner))).expect("UTF-8")
    }
}

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
