//! The transcript: the vendors' own requests, each with its answer, and whether the answer agrees with the contract.
//! Then the revocation check, the cascade, a restoration and the sweep.

use crate::{
    background::{self, Background, Sweep},
    sample::{
        APPLICATION, CLIENT, DIRECT_ACCESS, IDLE_CLIENT, OWNER, RFC_CLIENT, SERVICE, SERVICE_TOKEN, TARGET,
        UNUSED_CLIENT,
    },
};
use axum::{
    body::Bytes,
    http::{Request, header},
};
use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use deregister::{
    dynamodb::{ClientsTable, admin::RestoreOutcome},
    functions::sweep::Report,
    model::{Id, Restoration},
    settings,
    store::{ClientStatus, ClientStatuses},
};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use lambda_http::Error;
use serde_json::{Value, json};
use std::{
    fmt::Display,
    time::{Duration, SystemTime},
};

/// A request, and the answer that the contract promises.
struct Step {
    title: &'static str,
    method: &'static str,
    path: String,
    authorization: String,
    body: Option<Value>,
    status: u16,
    promise: Promise,
}

/// The body that the contract promises.
enum Promise {
    /// No body.
    Nothing,
    /// This JSON.
    Exactly(Value),
    /// JSON with these members among others.
    With(Value),
}

/// Plays and prints the transcript against the front at `url`. Returns whether everything was as promised. `now` is the
/// time of the restoration.
pub(crate) async fn play(
    url: &str,
    store: &ClientsTable,
    mut background: Background,
    now: SystemTime,
) -> Result<bool, Error> {
    let mut as_promised = true;
    for step in steps() {
        as_promised &= step.play(url).await?;
    }
    as_promised &= cascade(store, &mut background, now).await?;
    println!("\n# an operator restores the client\n$ deregisterctl client restore {}", RFC_CLIENT.0);
    let id = id(RFC_CLIENT.0)?;
    let restored = store.restore(&id, &Restoration { at: now, by: "operator#demo".to_owned() }).await?;
    as_promised &= matches!(restored, RestoreOutcome::Done(_));
    let status = store.client_status(&id).await?;
    as_promised &= see("the client", words(&status), "live");
    as_promised &= see("a token from before the deletion", verdict(&status, now), "refused");
    as_promised &= see("a token from an hour later", verdict(&status, now + Duration::from_hours(1)), "accepted");
    as_promised &=
        registration("its registration access token is valid again", 204, Promise::Nothing).play(url).await?;
    as_promised &= sweep(store, &background.sweep).await?;
    println!("\n{} answer was as the contract says", if as_promised { "every" } else { "NOT every" });
    Ok(as_promised)
}

/// The revocation check and the grants of a client that has deleted itself, before and after the cascade.
async fn cascade(store: &ClientsTable, background: &mut Background, now: SystemTime) -> Result<bool, Error> {
    let Background { grants, trigger, .. } = background;
    let client = id(RFC_CLIENT.0)?;
    println!("\n# the revocation check, right after a client deleted itself");
    let status = store.client_status(&client).await?;
    let mut as_promised = see("the client", words(&status), &format!("deleted by client#{client} via registration"));
    as_promised &= see("a token from before the deletion", verdict(&status, now), "refused");
    as_promised &= see("its grants", grants.count(&client, 10).await?, "3");

    println!(
        "\n# the table's stream triggers the cascade, which removes the grants of deleted clients and keeps the others"
    );
    as_promised &= see("records handled", if trigger.pull().await? { "all" } else { "not all" }, "all");
    as_promised &= see("its grants", grants.count(&client, 10).await?, "0");
    let others = id(IDLE_CLIENT)?;
    as_promised &= see(&format!("the grants of {others}, which is live"), grants.count(&others, 10).await?, "1");
    Ok(as_promised)
}

/// The sweep of two idle clients, one of which has a consent.
async fn sweep(store: &ClientsTable, sweep: &Sweep) -> Result<bool, Error> {
    let mut as_promised = true;
    for (title, deletes, status_after) in [
        ("by default the sweep only observes", false, "live"),
        ("the sweep deletes", true, "deleted by sweep via sweep"),
    ] {
        println!("\n# {title}");
        let settings = settings::Sweep { deletes, ..sweep.settings.clone() };
        let report = background::sweep_once(&Sweep { settings, ..sweep.clone() }).await?;
        let promised = Report { deletes, due: 2, swept: 1, granted: 1, complete: true, ..Report::default() };
        as_promised &= see("its report", serde_json::to_string(&report)?, &serde_json::to_string(&promised)?);
        for (client, what, promised) in
            [(UNUSED_CLIENT, "never used", status_after), (IDLE_CLIENT, "not used for long, with a consent", "live")]
        {
            let status = store.client_status(&id(client)?).await?;
            as_promised &= see(&format!("{client}, {what}"), words(&status), promised);
        }
    }
    Ok(as_promised)
}

/// Prints a value. Returns whether it is the promised one.
fn see(what: &str, seen: impl Display, promised: &str) -> bool {
    let seen = seen.to_string();
    println!("= {what}: {seen}");
    let kept = seen == promised;
    if !kept {
        println!("! the contract says {promised}");
    }
    kept
}

fn words(status: &ClientStatus) -> String {
    match status {
        ClientStatus::Live { .. } => "live".to_owned(),
        ClientStatus::Deleted(deletion) => format!("deleted by {} via {}", deletion.by, deletion.via),
        ClientStatus::Unknown => "unknown".to_owned(),
    }
}

fn verdict(status: &ClientStatus, issued_at: SystemTime) -> &'static str {
    if status.accepts(issued_at) { "accepted" } else { "refused" }
}

fn id(id: &str) -> Result<Id, &'static str> {
    Id::try_from(id.to_owned())
}

fn steps() -> Vec<Step> {
    let configuration = |title, caller, target: &str, status, promise| Step {
        title,
        method: "DELETE",
        path: format!("/config/{APPLICATION}/clients/{target}"),
        authorization: basic(caller),
        body: None,
        status,
        promise,
    };
    let authlete = |title, token, promise| Step {
        title,
        method: "POST",
        path: format!("/api/{SERVICE}/client/registration/delete"),
        authorization: format!("Bearer {SERVICE_TOKEN}"),
        body: Some(json!({ "clientId": CLIENT.0, "token": token })),
        status: 200,
        promise,
    };
    let errors = |text: &str| Promise::Exactly(json!({ "errors": text }));
    let wrong_secret = (OWNER.0, "not-the-secret");
    vec![
        configuration(
            "Configuration API: a wrong secret",
            wrong_secret,
            TARGET,
            401,
            errors("Authentication required."),
        ),
        configuration(
            "a caller without the feature owner",
            DIRECT_ACCESS,
            TARGET,
            403,
            errors("Authentication required."),
        ),
        configuration(
            "an owner as the target",
            OWNER,
            OWNER.0,
            403,
            errors("A client with the owner feature cannot be deleted."),
        ),
        configuration("the vendor's own call", OWNER, TARGET, 204, Promise::Nothing),
        configuration("the same again", OWNER, TARGET, 404, errors("Client ID not found.")),
        registration("RFC 7592: a client deletes itself", 204, Promise::Nothing),
        registration("the same again: its token is revoked", 401, Promise::With(json!({ "error": "invalid_token" }))),
        authlete(
            "Authlete API: a wrong registration access token",
            "not-the-token",
            Promise::With(json!({ "resultCode": "A215307", "action": "BAD_REQUEST" })),
        ),
        authlete("the right one", CLIENT.1, Promise::With(json!({ "resultCode": "A216001", "action": "DELETED" }))),
        authlete(
            "the same again",
            CLIENT.1,
            Promise::With(json!({ "resultCode": "A215302", "action": "BAD_REQUEST" })),
        ),
    ]
}

/// The client of the examples in RFC 7592 deletes itself.
fn registration(title: &'static str, status: u16, promise: Promise) -> Step {
    Step {
        title,
        method: "DELETE",
        path: format!("/register/{}", RFC_CLIENT.0),
        authorization: format!("Bearer {}", RFC_CLIENT.1),
        body: None,
        status,
        promise,
    }
}

impl Step {
    async fn play(&self, url: &str) -> Result<bool, Error> {
        println!("\n# {}", self.title);
        println!("> {} {}{}", self.method, url, self.path);
        println!("> Authorization: {}", self.authorization);
        let mut request = Request::builder()
            .method(self.method)
            .uri(format!("{url}{}", self.path))
            .header(header::AUTHORIZATION, &self.authorization);
        let body = self.body.as_ref().map(Value::to_string);
        if let Some(body) = &body {
            println!("> {body}");
            request = request.header(header::CONTENT_TYPE, "application/json");
        }

        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let response = client.request(request.body(Full::from(body.unwrap_or_default()))?).await?;
        let status = response.status();
        println!("< {status}");
        for name in [header::WWW_AUTHENTICATE, header::CONTENT_TYPE, header::CACHE_CONTROL] {
            if let Some(value) = response.headers().get(&name) {
                println!("< {name}: {}", value.to_str()?);
            }
        }
        let answered = String::from_utf8(response.into_body().collect().await?.to_bytes().to_vec())?;
        if !answered.is_empty() {
            println!("< {answered}");
        }

        let kept = status.as_u16() == self.status && self.promise.is_kept_by(&answered);
        if !kept {
            println!("! the contract says {}", self.status);
        }
        Ok(kept)
    }
}

impl Promise {
    fn is_kept_by(&self, body: &str) -> bool {
        let json = serde_json::from_str::<Value>(body).ok();
        match self {
            Self::Nothing => body.is_empty(),
            Self::Exactly(promised) => json.as_ref() == Some(promised),
            Self::With(promised) => json.is_some_and(|json| {
                promised
                    .as_object()
                    .is_some_and(|members| members.iter().all(|(name, value)| json.get(name) == Some(value)))
            }),
        }
    }
}

fn basic((id, secret): (&str, &str)) -> String {
    format!("Basic {}", BASE64_STANDARD_NO_PAD.encode(format!("{id}:{secret}")))
}
