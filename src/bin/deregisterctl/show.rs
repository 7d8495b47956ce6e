//! Shows a client, live or deleted, and its deletions: for people and for programs, never its secrets.

use crate::{
    failure::Failure,
    report::{Report, timestamp},
    tool::Tool,
};
use deregister::{
    dynamodb::admin::Deletions,
    model::{
        AccessToken, AllowList, ApiClient, Client, Deletion, Id, Idle, Kind, OAuthClient, PastDeletion, Revocation,
        Service, Version,
    },
    snapshot::{Key, Record},
};
use serde_json::{Value, json};
use std::time::SystemTime;

impl Tool {
    pub async fn show_client(&self, id: &Id) -> Result<Report, Failure> {
        match self.store.find(&Key::Client(id.clone())).await? {
            Some(Record::Client(client)) => Ok(show_live(id, client)),
            Some(Record::Deleted(deletion)) => Ok(show_deleted(id, deletion)),
            _ => Err(Failure::NoClient(id.clone())),
        }
    }

    pub async fn show_deletion(&self, id: Id) -> Result<Report, Failure> {
        match self.store.deletions(&id).await? {
            Some(deletions) => Ok(show_deletions(&id, deletions, (self.now)())),
            None => Err(Failure::NoClient(id)),
        }
    }
}

pub fn show_live(id: &Id, client: Client) -> Report {
    let report = Report::new("A live client.").with("client_id", id.as_str()).with("deleted", false);
    let report = match client.kind {
        Kind::Api(api) => with_api_client(report, api),
        Kind::OAuth(oauth) => with_oauth_client(report, oauth),
    };
    let notice = client.idle.and_then(|idle| client.notice.of(idle)).map(|notice| timestamp(notice.sweep_at));
    let report = with_use(with_version(report, client.protected, client.version.version()), client.idle);
    report.with("announced_sweep_at", notice)
}

pub fn show_deleted(id: &Id, deletion: Deletion) -> Report {
    let (block, headline) = match deletion.blocked {
        Some(block) => (Some(block), "A blocked id."),
        None => (None, "A deleted client."),
    };
    let report = Report::new(headline)
        .with("client_id", id.as_str())
        .with("deleted", true)
        .with("deleted_at", timestamp(deletion.at))
        .with("deleted_by", deletion.by)
        .with("via", deletion.via)
        .with("source_ip", deletion.source_ip)
        .with("request_id", deletion.request_id)
        .with("lacks", lacking(deletion.lacks));
    match block {
        Some(block) => {
            report.with("blocked", true).with("blocked_at", timestamp(block.at)).with("blocked_by", block.by)
        }
        None => report,
    }
}

/// What a tombstone or a restored client lacks, because the item was too full. `None`: nothing.
pub fn lacking(names: Vec<String>) -> Option<Vec<String>> {
    Some(names).filter(|names| !names.is_empty())
}

pub fn show_deletions(id: &Id, deletions: Deletions, now: SystemTime) -> Report {
    let Deletions { current, past, revocations } = deletions;
    let report = match current {
        Some((deletion, _)) if deletion.blocked.is_some() => show_deleted(id, deletion).with("restorable", false),
        Some((deletion, until)) => {
            show_deleted(id, deletion).with("restorable_until", timestamp(until)).with("restorable", now < until)
        }
        None => Report::new("A live client.").with("client_id", id.as_str()).with("deleted", false),
    };
    let lines = past.iter().map(past_deletion_line).collect();
    let report = report.lines("history", past.into_iter().map(past_deletion_value).collect::<Vec<_>>(), lines);
    if revocations.is_empty() {
        return report;
    }
    let lines = revocations.iter().map(revocation_line).collect();
    report.lines("revocations", revocations.iter().map(revocation_value).collect::<Vec<_>>(), lines)
}

/// A revocation, for programs.
fn revocation_value(Revocation { at, by, request_id }: &Revocation) -> Value {
    json!({ "revoked_at": timestamp(*at), "revoked_by": by, "request_id": request_id })
}

/// A revocation, for people.
fn revocation_line(Revocation { at, by, request_id }: &Revocation) -> String {
    format!("revoked {} by {by} ({request_id})", timestamp(*at))
}

pub fn show_service(report: Report, id: &Id, service: Service) -> Report {
    report
        .with("service_id", id.as_str())
        .with("organization_id", service.organization_id)
        .with("dynamic_registration", service.dynamic_registration)
        .with("unauthorized_on_client_config", service.unauthorized_on_client_config)
        .with("error_description_omitted", service.error_description_omitted)
        .with("error_uri_omitted", service.error_uri_omitted)
}

/// Shows an access token by its digest. The table does not have the token itself.
pub fn show_token(digest: &str, token: &AccessToken, now: SystemTime) -> Report {
    Report::new("An access token.")
        .with("token", digest)
        .with("scope", token.scope.to_string())
        .with("expires_at", token.expires_at.map(timestamp))
        .with("expired", token.expires_at.is_some_and(|end| end <= now))
}

fn with_api_client(report: Report, api: ApiClient) -> Report {
    let ends: Vec<_> = api.secrets.iter().map(|secret| secret.expires_at.map(timestamp)).collect();
    let ends_in_words: Vec<_> = ends.iter().map(|end| end.as_deref().unwrap_or("never")).collect();
    let ends_in_words = ends_in_words.join(", ");
    let report = report
        .with_words("kind", "api", "API client")
        .with("app_id", api.app_id)
        .with("name", api.name)
        .with("features", api.features);
    let report = if api.ip_allow_list == AllowList::default() {
        report.with_words("ip_allow_list", json!([]), "any address")
    } else {
        report.with("ip_allow_list", json!(api.ip_allow_list))
    };
    report.with("secrets", ends.len()).with_words("secrets_expire_at", ends, ends_in_words)
}

fn with_oauth_client(report: Report, oauth: OAuthClient) -> Report {
    report
        .with_words("kind", "oauth", "OAuth client")
        .with("service_id", oauth.service_id.as_ref().map(Id::as_str))
        .with("dynamic", oauth.dynamic)
        .with("has_registration_token", oauth.registration_token_digest.is_some())
        .with("client_name", oauth.metadata.client_name)
        .with("contacts", oauth.metadata.contacts)
        .with("redirect_uris", oauth.metadata.redirect_uris)
        .with("response_types", oauth.metadata.response_types)
        .with("grant_types", oauth.metadata.grant_types)
        .with("token_endpoint_auth_method", oauth.metadata.token_endpoint_auth_method)
}

/// Adds the time of the client's last use, if its use is tracked.
pub fn with_use(report: Report, idle: Option<Idle>) -> Report {
    match idle {
        Some(Idle { used: true, since }) => report.with("last_used_at", timestamp(since)),
        Some(Idle { used: false, since }) => {
            report.with_words("last_used_at", Value::Null, "never").with("registered_at", timestamp(since))
        }
        None => report,
    }
}

/// Adds whether the client is protected, and its version.
pub fn with_version(report: Report, protected: bool, version: Option<Version>) -> Report {
    report
        .with("protected", protected)
        .with("version", version.map(|Version(version)| version))
        .with("entity_tag", version.map(|version| version.to_string()))
}

/// A past deletion, for programs.
fn past_deletion_value(PastDeletion { deletion, restored }: PastDeletion) -> Value {
    let mut value = json!({
        "deleted_at": timestamp(deletion.at),
        "deleted_by": deletion.by,
        "via": deletion.via,
        "source_ip": deletion.source_ip,
        "request_id": deletion.request_id,
        "restored_at": timestamp(restored.at),
        "restored_by": restored.by,
    });
    let Some(members) = value.as_object_mut() else { return value };
    if let Some(lacks) = lacking(deletion.lacks) {
        members.insert("lacks".to_owned(), lacks.into());
    }
    if let Some(block) = deletion.blocked {
        members.insert("blocked_at".to_owned(), timestamp(block.at).into());
        members.insert("blocked_by".to_owned(), block.by.into());
    }
    value
}

/// A past deletion, for people.
fn past_deletion_line(PastDeletion { deletion, restored }: &PastDeletion) -> String {
    let from = deletion.source_ip.as_ref().map(|address| format!(" from {address}")).unwrap_or_default();
    let without = lacking(deletion.lacks.clone()).map(|names| format!(" without {}", names.join(", ")));
    let and_blocked = if deletion.blocked.is_some() { " and blocked" } else { "" };
    format!(
        "deleted{and_blocked} {} by {} via {}{from} ({}), restored {} by {}{}",
        timestamp(deletion.at),
        deletion.by,
        deletion.via,
        deletion.request_id,
        timestamp(restored.at),
        restored.by,
        without.unwrap_or_default(),
    )
}
