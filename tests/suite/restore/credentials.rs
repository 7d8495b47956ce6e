//! The credentials of a restored client.

use super::{delete, delete_at_configuration, delete_at_registration, restore};
use crate::support::{
    Fixture, bearer, json,
    sample::{self, CLIENT, DIRECT_ACCESS, OWNER, RFC_CLIENT, SERVICE, SERVICE_TOKEN, TARGET},
};
use deregister::{dynamodb::admin::RestoreOutcome, model::Kind, store::WriteOutcome};

#[tokio::test]
async fn a_caller_has_its_former_secret() {
    let fixture = Fixture::anywhere_with_samples().await;
    // The answer to a known caller that is not an owner is 403.
    assert_eq!(delete_at_configuration(&fixture, OWNER, DIRECT_ACCESS.0).await, 204);
    assert_eq!(delete_at_configuration(&fixture, DIRECT_ACCESS, TARGET).await, 401);
    assert!(matches!(restore(&fixture, DIRECT_ACCESS.0).await, RestoreOutcome::Done(_)));
    assert_eq!(delete_at_configuration(&fixture, (DIRECT_ACCESS.0, "another secret"), TARGET).await, 401);
    assert_eq!(delete_at_configuration(&fixture, DIRECT_ACCESS, TARGET).await, 403);
}

#[tokio::test]
async fn an_owner_has_its_former_secrets() {
    let fixture = Fixture::anywhere_with_samples().await;
    // No endpoint deletes an owner.
    assert_eq!(delete(&fixture.clients, OWNER.0, "this").await, WriteOutcome::Written);
    assert_eq!(delete_at_configuration(&fixture, OWNER, TARGET).await, 401);
    let RestoreOutcome::Done(restored) = restore(&fixture, OWNER.0).await else { panic!("not restored") };
    let (Kind::Api(client), Kind::Api(sample)) = (restored.client.kind, sample::owner().kind) else {
        panic!("no API client")
    };
    assert_eq!(client.secrets[0], sample.secrets[0]);
    assert_eq!(delete_at_configuration(&fixture, (OWNER.0, "another secret"), TARGET).await, 401);
    assert_eq!(delete_at_configuration(&fixture, OWNER, TARGET).await, 204);
}

#[tokio::test]
async fn a_client_that_deleted_itself_has_its_former_registration_token() {
    let fixture = Fixture::anywhere_with_samples().await;
    assert_eq!(delete_at_registration(&fixture, RFC_CLIENT).await, 204);
    assert_eq!(delete_at_registration(&fixture, RFC_CLIENT).await, 401);
    assert!(matches!(restore(&fixture, RFC_CLIENT.0).await, RestoreOutcome::Done(_)));
    assert_eq!(delete_at_registration(&fixture, (RFC_CLIENT.0, "another-token")).await, 401);
    assert_eq!(delete_at_registration(&fixture, RFC_CLIENT).await, 204);
}

#[tokio::test]
async fn a_client_is_deleted_again_by_the_same_request() {
    let fixture = Fixture::anywhere_with_samples().await;
    let delete = async || {
        let body = serde_json::json!({ "clientId": CLIENT.0, "token": CLIENT.1 }).to_string();
        let path = format!("/api/{SERVICE}/client/registration/delete");
        let answer = fixture.send("POST", &path, Some(&bearer(SERVICE_TOKEN)), &body).await;
        (json(&answer)["resultCode"].clone(), delete_at_configuration(&fixture, OWNER, TARGET).await)
    };
    assert_eq!(delete().await, ("A216001".into(), 204));
    assert_eq!(delete().await, ("A215302".into(), 404));
    for client_id in [CLIENT.0, TARGET] {
        assert!(matches!(restore(&fixture, client_id).await, RestoreOutcome::Done(_)), "{client_id}");
    }
    assert_eq!(delete().await, ("A216001".into(), 204));
}
