//! `client rotate`

use crate::{
    fixture::{clock, timestamp},
    run::text,
    support::{
        Fixture, basic,
        build::{api_client, oauth_client},
    },
    write_proxy::Write,
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::model::{Digest, Kind};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn an_api_client_has_both_secrets_for_a_while() {
    let fixture = Fixture::empty().await;
    let created = fixture.object("client create --app app --id me --feature owner").await;
    let rotated = fixture.object("client rotate me --keep-former-for 36500d").await;
    assert_eq!(rotated["version"], 2);
    // The function of the fixture has the time of the tests.
    for secret in [text(&created, "client_secret"), text(&rotated, "client_secret")] {
        let answer = fixture.send("DELETE", "/config/app/clients/none", Some(&basic(("me", secret))), "").await;
        assert_eq!(answer.status(), 404);
    }
    let shown = fixture.object("client show me").await;
    assert_eq!(shown["secrets_expire_at"][0], rotated["former_secrets_expire_at"][0]);
    assert!(shown["secrets_expire_at"][1].is_null(), "{shown}");
}

#[tokio::test]
async fn former_secrets_end_with_the_rotation_or_earlier() {
    let fixture = Fixture::empty().await;
    let day = Duration::from_hours(24);
    let secrets =
        api_client().secret_until("expired", clock() - day).secret_until("earlier", clock() + day).secret("for ever");
    fixture.create("me", secrets).await;
    let rotated = fixture.object("client rotate me --keep-former-for 7d").await;
    let Kind::Api(client) = fixture.live("me").await.kind else { panic!("no API client") };
    let digests: Vec<_> = client.secrets.iter().map(|secret| secret.digest).collect();
    assert_eq!(digests, ["earlier", "for ever", text(&rotated, "client_secret")].map(Digest::of));
    let ends: Vec<_> = client.secrets.iter().map(|secret| secret.expires_at.map(timestamp)).collect();
    assert_eq!(rotated["former_secrets_expire_at"], json!([ends[0], ends[1]]));
    assert!(ends[0] < ends[1] && ends[2].is_none(), "{ends:?}");

    let last = fixture.object("client rotate me --keep-former-for 0s").await;
    let Kind::Api(client) = fixture.live("me").await.kind else { panic!("no API client") };
    let digests: Vec<_> = client.secrets.iter().map(|secret| secret.digest).collect();
    assert_eq!(digests, [Digest::of(text(&last, "client_secret"))]);
}

#[tokio::test]
async fn a_registered_client_has_only_its_new_token() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    let former = fixture.register("7").await;
    let rotated = fixture.object("client rotate 7").await;
    assert_eq!(fixture.delete_itself("7", &former).await, 401);
    assert_eq!(fixture.delete_itself("7", text(&rotated, "registration_access_token")).await, 204);
}

#[tokio::test]
async fn a_chosen_secret_is_not_printed() {
    let fixture = Fixture::empty().await;
    fixture.object("client create --app app --id me --feature owner").await;
    let secret = "a secret of the operator";
    let ran = fixture.ctl("--json client rotate me --secret-from-stdin").with_stdin(secret).run().await;
    assert!(!ran.stdout.contains(secret) && !ran.stdout.contains("client_secret"), "{}", ran.stdout);
    let answer = fixture.send("DELETE", "/config/app/clients/none", Some(&basic(("me", secret))), "").await;
    assert_eq!(answer.status(), 404);
    let ran = fixture.ctl("client rotate me --secret-from-stdin").with_stdin("short").run().await;
    assert!(ran.refused().contains("at least 16 bytes"));
    // With the secret that it has, it would have that secret for ever.
    let ran = fixture.ctl("client rotate me --secret-from-stdin").with_stdin(secret).run().await;
    assert!(ran.refused().contains("has this secret already"));
}

#[tokio::test]
async fn a_client_without_such_a_credential_is_refused() {
    let fixture = Fixture::empty().await;
    fixture.create("static", oauth_client().not_dynamic()).await;
    fixture.create("gone", oauth_client()).await;
    fixture.create("dynamic", oauth_client()).await;
    fixture.delete("gone --yes", "").await;
    let before = fixture.clients_by_key().await;
    let ran = fixture.ctl("client rotate dynamic --secret-from-stdin").with_stdin("a secret of the operator").run();
    assert!(ran.await.refused().contains("the client dynamic is an OAuth client"));
    let ran = fixture.ctl("client rotate dynamic --keep-former-for 7d").run();
    assert!(ran.await.refused().contains("its former token ends at once"));
    for (id, expected) in [
        ("static", "the client static did not register itself"),
        ("gone", "there is no live client gone"),
        ("missing", "there is no live client missing"),
    ] {
        let sentence = fixture.ctl(&format!("client rotate {id}")).run().await.refused();
        assert!(sentence.starts_with(expected), "{sentence}");
    }
    assert_eq!(fixture.clients_by_key().await, before);
}

#[tokio::test]
async fn members_of_other_programs_stay() {
    let fixture = Fixture::empty().await;
    fixture.object("client create --app app --id me").await;
    let update = fixture.sdk.update_item().table_name("clients");
    let update = update.key("pk", AttributeValue::S("client#me".to_owned()));
    let update = update.update_expression("SET client.secrets[0].note = :note, client.note = :note");
    update.expression_attribute_values(":note", AttributeValue::S("theirs".to_owned())).send().await.unwrap();
    fixture.object("client rotate me").await;
    let item = fixture.clients_by_key().await["client#me"]["client"].as_m().unwrap().clone();
    let theirs = Some(&AttributeValue::S("theirs".to_owned()));
    assert_eq!((item.get("note"), item["secrets"].as_l().unwrap()[0].as_m().unwrap().get("note")), (theirs, theirs));
}

#[tokio::test]
async fn a_lost_answer_is_recognized() {
    let fixture = Fixture::empty().await;
    let created = fixture.object("client create --app app --id me").await;
    let endpoint = fixture.write_proxy(|write| if write == 0 { Write::Ambiguous } else { Write::Done }).await;
    let run = fixture.ctl("--json client rotate me").with_env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint).run().await;
    let rotated = crate::run::only(&run.done());
    let Kind::Api(client) = fixture.live("me").await.kind else { panic!("no API client") };
    let digests: Vec<_> = client.secrets.iter().map(|secret| secret.digest).collect();
    assert_eq!(digests, [&created, &rotated].map(|printed| Digest::of(text(printed, "client_secret"))));

    let endpoint = fixture.write_proxy(|_| Write::Ambiguous).await;
    let run = fixture.ctl("client rotate me").with_env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint);
    let sentence = run.with_env("DATABASE_ATTEMPTS", "1").run().await.refused();
    assert!(sentence.contains("may have a new credential that is not known: run client rotate again"), "{sentence}");
}
