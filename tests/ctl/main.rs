//! The promises of the operator's tool: the real program, against the embedded DynamoDB.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail so")]

mod deletions;
mod import;
#[path = "../support/mod.rs"]
mod support;
mod tool;

use aws_sdk_dynamodb::types::{AttributeValue, TableDescription};
use base64::{Engine, prelude::BASE64_STANDARD};
use deregister::{
    dynamodb::{
        item::Item,
        schema::{definition, time_to_live},
    },
    functions::Delete,
    model::{
        AllowList, ApiClient, Client, Digest, Idle, IdlePartition, Kind, Metadata, OAuthClient, Realm, Service,
        StoredSecret, Version,
    },
    snapshot::{Key, Record},
    store::ClientStatus,
};
use lambda_http::{Body, LambdaEvent, Response, lambda_runtime::Context};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io,
    path::PathBuf,
    time::{Duration, SystemTime},
};
use support::{Fixture, basic, json as body, now};
use tokio::net::TcpSocket;
use tool::{Put, authlete, client, ctl, delete_itself, file, front, id, object, objects, only, parse, table, text};

const APPLICATION: &str = "htb8fuhxnf8e38jrzub3c7pfrr";
const OWN_SECRET: &str = "a secret, of the operator's own";

#[tokio::test]
async fn an_empty_endpoint_counts_as_unset() {
    let fixture = Fixture::empty().await;
    let profile = |endpoint: &str| format!("[default]\nendpoint_url = {endpoint}\n");
    let (named, empty) = (file("endpoint", &profile(&fixture.endpoint)), file("no-endpoint", &profile("")));
    let run = async |variables: &[(&str, &str)]| {
        let mut run = ctl(&fixture, "deletion list --app any").with_env("DATABASE_CALL_TIMEOUT_MS", "100");
        for &(name, value) in variables {
            run = run.with_env(name, value);
        }
        run.run().await.code
    };
    let unset = ("AWS_ENDPOINT_URL_DYNAMODB", "");
    assert_eq!(run(&[unset, ("AWS_ENDPOINT_URL", &fixture.endpoint)]).await, Some(0));
    assert_eq!(run(&[unset, ("AWS_ENDPOINT_URL", ""), ("AWS_CONFIG_FILE", named.to_str().unwrap())]).await, Some(0));
    // AWS itself, which a machine without a network does not reach: no panic, which would be 101.
    assert_eq!(run(&[unset]).await, Some(1));
    assert_eq!(run(&[unset, ("AWS_CONFIG_FILE", empty.to_str().unwrap())]).await, Some(1));
}

#[tokio::test]
async fn an_owner_that_it_created_deletes_a_client_that_it_created() {
    let fixture = Fixture::empty().await;
    let owner =
        object(&fixture, &format!("client create --app {APPLICATION} --feature owner --allow 203.0.113.0/24")).await;
    let target = object(&fixture, &format!("client create --app {APPLICATION} --feature login_client")).await;

    let path = format!("/config/{APPLICATION}/clients/{}", text(&target, "client_id"));
    let credentials = basic((text(&owner, "client_id"), text(&owner, "client_secret")));
    assert_eq!(fixture.send("DELETE", &path, Some(&credentials), "").await.status(), 204);
    assert!(!fixture.lives(text(&target, "client_id")).await);
}

#[tokio::test]
async fn ids_and_secrets_of_api_clients_are_32_characters_of_the_vendors_alphabet() {
    let fixture = Fixture::empty().await;
    let created = object(&fixture, "client create --app an-application").await;
    for name in ["client_id", "client_secret"] {
        let word = text(&created, name);
        assert_eq!(word.len(), 32, "{name}");
        assert!(word.chars().all(|character| "23456789abcdefghjkmnpqrstuvwxyz".contains(character)), "{name}");
    }
    assert_ne!(created["client_id"], created["client_secret"]);
    assert_eq!(created.as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn an_api_client_is_created_as_it_was_described() {
    let fixture = Fixture::empty().await;
    let line = "client create --app app --id me --name Jane --feature owner --feature direct_access \
                --allow 198.51.100.0/24 --allow 2001:db8::1 --protected --secret-from-stdin";
    let created = ctl(&fixture, line).with_stdin(&format!("{OWN_SECRET}\r\n")).run().await.done();

    assert!(created.contains("me") && !created.contains(OWN_SECRET), "{created}");
    let expected = Client {
        kind: Kind::Api(ApiClient {
            app_id: "app".to_owned(),
            name: Some("Jane".to_owned()),
            features: vec!["owner".to_owned(), "direct_access".to_owned()],
            ip_allow_list: AllowList::new(["198.51.100.0/24", "2001:db8::1"]),
            secrets: vec![StoredSecret { digest: Digest::of(OWN_SECRET), expires_at: None }],
        }),
        protected: true,
        version: Some(Version(1)),
        idle: None,
    };
    assert_eq!(client(&fixture, "me").await, Some(Record::Client(expected)));
}

#[tokio::test]
async fn a_secret_that_is_too_short_is_refused() {
    let fixture = Fixture::empty().await;
    for (secret, bytes) in [("", 0), ("\n", 0), ("fifteen bytes !\n", 15), ("\nsixteen bytes !!\n", 0)] {
        let ran = ctl(&fixture, "client create --app app --id me --secret-from-stdin").with_stdin(secret).run().await;
        assert!(ran.refused().ends_with(&format!("has {bytes}")), "{secret:?}");
    }
    let ran = ctl(&fixture, "client create --app app --id me --secret-from-stdin").with_stdin("sixteen bytes !!").run();
    ran.await.done();
    assert!(fixture.lives("me").await);
}

#[tokio::test]
async fn a_client_that_it_registered_deletes_itself_with_the_token_printed() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 715948317").await;
    let registered = object(&fixture, "client register --service 715948317").await;
    assert_eq!(registered.as_object().unwrap().len(), 2);

    let token = text(&registered, "registration_access_token");
    assert_eq!(delete_itself(&fixture, text(&registered, "client_id"), token).await, 204);
}

#[tokio::test]
async fn as_many_clients_as_asked_for_are_registered_each_with_a_token_of_its_own() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 715948317").await;
    let registered = objects(&fixture, "client register --service 715948317 --count 40").await;

    let ids: BTreeSet<_> = registered.iter().map(|client| text(client, "client_id")).collect();
    assert_eq!(ids.len(), 40);
    for client in &registered {
        let (id, token) = (text(client, "client_id"), text(client, "registration_access_token"));
        assert!((1..1 << 53).contains(&id.parse::<u64>().unwrap()), "{id}");
        assert_eq!(delete_itself(&fixture, id, token).await, 204);
    }
}

#[tokio::test]
async fn where_a_registration_fails_every_client_that_was_registered_is_printed() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 715948317").await;
    let endpoint = front(&fixture, |put| if put == 0 { Put::Refused } else { Put::Done }).await;
    let run = ctl(&fixture, "--json client register --service 715948317 --count 100");
    let ran = run.with_env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint).run().await;

    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(1), 1), "{}", ran.stderr);
    let printed: BTreeSet<_> =
        ran.stdout.lines().map(|line| format!("client#{}", text(&parse(line), "client_id"))).collect();
    let stored = table(&fixture, "clients").await.into_iter().map(|item| item["pk"].as_s().unwrap().clone());
    assert!(printed.len() >= 15, "what was under way with the first");
    assert_eq!(printed, stored.filter(|key| key.starts_with("client#")).collect());
}

#[tokio::test]
async fn an_oauth_client_is_registered_with_the_metadata_of_the_file() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 715948317").await;
    let file =
        file("metadata.json", r#"{"client_name": "Jane", "redirect_uris": ["https://example.com"], "jwks": {}}"#);
    let line = format!("client register --service 715948317 --id 7 --protected --metadata {}", file.display());
    let before = Idle::unused(clock());
    let token = object(&fixture, &line).await["registration_access_token"].clone();
    let idle = live(&fixture, "7").await.idle;
    assert!(idle.is_some_and(|idle| !idle.used && (before.since..=clock()).contains(&idle.since)), "{idle:?}");

    let expected = Client {
        kind: Kind::OAuth(OAuthClient {
            service_id: id("715948317"),
            dynamic: true,
            registration_token_digest: Some(Digest::of(token.as_str().unwrap())),
            metadata: Metadata {
                client_name: Some("Jane".to_owned()),
                redirect_uris: Some(vec!["https://example.com".to_owned()]),
                ..Metadata::default()
            },
        }),
        protected: true,
        version: Some(Version(1)),
        idle,
    };
    assert_eq!(live(&fixture, "7").await, expected);
}

#[tokio::test]
async fn metadata_that_cannot_be_read_is_refused() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 715948317").await;
    let files = [
        file("list.json", r#"["Jane"]"#),
        file("wrong-type.json", r#"{"redirect_uris": "https://example.com"}"#),
        file("no-json", "client_name: Jane"),
        PathBuf::from("no-such-file"),
    ];
    for file in files {
        let line = format!("client register --service 715948317 --metadata {}", file.display());
        assert!(ctl(&fixture, &line).run().await.refused().contains(file.to_str().unwrap()));
    }
    assert_eq!(table(&fixture, "clients").await.len(), 1, "the service alone");
}

#[tokio::test]
async fn where_registration_is_off_only_static_clients_are_registered() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create closed --no-dynamic-registration").await;
    assert!(ctl(&fixture, "client register --service closed --id 7").run().await.refused().contains("--static"));
    assert_eq!(client(&fixture, "7").await, None);

    assert_eq!(object(&fixture, "client register --service closed --id 7 --static").await, json!({ "client_id": "7" }));
    let Client { kind: Kind::OAuth(registered), idle: None, .. } = live(&fixture, "7").await else {
        panic!("no OAuth client of which no use is kept track of");
    };
    assert!(!registered.dynamic && registered.registration_token_digest.is_none());
}

#[tokio::test]
async fn a_service_is_created_with_its_switches() {
    let fixture = Fixture::empty().await;
    let line = "service create strict --organization org --no-dynamic-registration --unauthorized-on-client-config \
                --omit-error-description --omit-error-uri";
    let strict = Service {
        organization_id: Some("org".to_owned()),
        dynamic_registration: false,
        unauthorized_on_client_config: true,
        error_description_omitted: true,
        error_uri_omitted: true,
    };
    for (line, service_id, service) in [(line, "strict", strict), ("service create plain", "plain", Service::default())]
    {
        let mut printed = object(&fixture, line).await;
        assert_eq!(printed.as_object_mut().unwrap().remove("service_id").unwrap(), service_id);
        assert_eq!(serde_json::from_value::<Service>(printed).unwrap(), service);
        let found = fixture.direct().find(&Key::Service(id(service_id))).await.unwrap();
        assert_eq!(found, Some(Record::Service(service)));
    }
}

#[tokio::test]
async fn a_token_opens_the_authlete_api_for_what_it_covers_and_for_nothing_else() {
    let fixture = Fixture::empty().await;
    for line in ["service create 1 --organization ours", "service create 2 --organization ours", "service create 3"] {
        object(&fixture, line).await;
    }
    let of_service = object(&fixture, "token issue --service 1").await;
    let of_organization = object(&fixture, "token issue --organization ours --expires-in 36500d").await;

    for (token, service, status) in [
        (&of_service, "1", 200),
        (&of_service, "2", 403),
        (&of_organization, "1", 200),
        (&of_organization, "2", 200),
        (&of_organization, "3", 403),
    ] {
        let registered = object(&fixture, &format!("client register --service {service}")).await;
        let token = text(token, "access_token");
        let answer = fixture.invoke(&authlete(service, token, &registered)).await;
        assert_eq!(answer.status(), status, "service {service}");
        if status == 200 {
            assert_eq!(body(&answer)["action"], "DELETED");
            assert_eq!(body(&answer)["client"]["clientId"].to_string(), text(&registered, "client_id"));
        }
    }
}

#[tokio::test]
async fn a_token_is_not_accepted_after_its_time() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 1").await;
    let issued = object(&fixture, "token issue --service 1 --expires-in 1s").await;
    let registered = object(&fixture, "client register --service 1").await;
    let event = authlete("1", text(&issued, "access_token"), &registered);

    // The tool has the real clock: its token has expired in 2084, and had not in 1970.
    let in_2084 = || SystemTime::UNIX_EPOCH + Duration::from_hours(1_000_000);
    assert_eq!(answer_at(&fixture, in_2084, &event).await.status(), 401);
    let in_1970 = || SystemTime::UNIX_EPOCH + Duration::from_hours(1);
    assert_eq!(answer_at(&fixture, in_1970, &event).await.status(), 200);
}

#[tokio::test]
async fn what_belongs_to_no_service_is_refused() {
    let fixture = Fixture::empty().await;
    for line in ["client register --service nowhere", "token issue --service nowhere", "client track --service nowhere"]
    {
        assert!(ctl(&fixture, line).run().await.refused().contains("there is no service nowhere"));
    }
    assert!(table(&fixture, "clients").await.is_empty());
}

#[tokio::test]
async fn an_id_that_is_taken_is_refused_and_left_as_it_is() {
    let fixture = Fixture::empty().await;
    let lines = ["service create 1", "client create --app app --id one", "client register --service 1 --id 2 --static"];
    for line in lines {
        object(&fixture, line).await;
    }
    let before = table(&fixture, "clients").await;
    for line in lines.into_iter().chain(["client register --service 1 --id one", "client create --app app --id 2"]) {
        ctl(&fixture, line).run().await.refused();
    }
    let after = table(&fixture, "clients").await;
    assert!(after.len() == 3 && after.iter().all(|item| before.contains(item)));
}

#[tokio::test]
async fn the_id_of_a_deleted_client_is_refused() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 1").await;
    let registered = object(&fixture, "client register --service 1 --id 7").await;
    assert_eq!(delete_itself(&fixture, "7", text(&registered, "registration_access_token")).await, 204);

    assert!(ctl(&fixture, "client register --service 1 --id 7").run().await.refused().contains("deleted"));
    assert!(!fixture.lives("7").await);
}

#[tokio::test]
async fn show_tells_what_a_person_needs_of_a_live_client() {
    let fixture = Fixture::empty().await;
    let line = "client create --app app --id me --feature owner --secret-from-stdin";
    ctl(&fixture, line).with_stdin(OWN_SECRET).run().await.done();
    let expected = json!({
        "client_id": "me",
        "deleted": false,
        "kind": "api",
        "app_id": "app",
        "features": ["owner"],
        "ip_allow_list": [],
        "secrets": 1,
        "secrets_expire_at": [null],
        "protected": false,
        "version": 1,
        "entity_tag": "\"1\"",
    });
    assert_eq!(object(&fixture, "client show me").await, expected);

    let shown = ctl(&fixture, "client show me").run().await.done();
    for line in ["kind               API client", "ip allow list      any address", "entity tag         \"1\""] {
        assert!(shown.contains(line), "{line} in\n{shown}");
    }
}

#[tokio::test]
async fn show_and_list_tell_when_a_client_that_registered_itself_was_last_used() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 1").await;
    for line in ["--id never", "--id used", "--id static --static"] {
        object(&fixture, &format!("client register --service 1 {line}")).await;
    }
    let used = id("used");
    let standing = fixture.direct().client_status(&used).await.unwrap();
    assert!(fixture.direct().note_use(&used, &standing, now()).await.unwrap());
    let registered = humantime(live(&fixture, "never").await.idle.unwrap().since);

    let shown = object(&fixture, "client show never").await;
    assert_eq!((shown.get("last_used_at"), text(&shown, "registered_at")), (Some(&Value::Null), &*registered));
    let shown = object(&fixture, "client show used").await;
    assert_eq!((text(&shown, "last_used_at"), shown.get("registered_at")), (&*humantime(now()), None));
    let shown = object(&fixture, "client show static").await;
    assert_eq!((shown.get("last_used_at"), shown.get("registered_at")), (None, None));

    let shown = ctl(&fixture, "client show never").run().await.done();
    assert!(shown.contains("  last used at            never\n"), "{shown}");
    assert!(shown.contains(&format!("  registered at           {registered}\n")), "{shown}");

    let printed = ctl(&fixture, "client list --service 1").run().await.done();
    let (heading, rows) = printed.split_once('\n').unwrap();
    let expected = "client id                         version  protected  dynamic  last used at          client name";
    assert_eq!(heading, expected);
    let row = |id: &str, dynamic, used: &str| {
        format!("{id:32}  1        no         {dynamic:7}  {used}").trim_end().to_owned()
    };
    let expected = [row("never", "yes", "never"), row("static", "no", ""), row("used", "yes", &humantime(now()))];
    assert_eq!(rows.lines().map(str::to_owned).collect::<BTreeSet<_>>(), BTreeSet::from(expected));
}

#[tokio::test]
async fn the_use_of_a_services_clients_that_nobody_kept_track_of_is_kept_track_of_from_now_on() {
    let fixture = Fixture::empty().await;
    for service in ["1", "2"] {
        object(&fixture, &format!("service create {service}")).await;
    }
    // More than are written at once, on more than one page.
    for number in 0..36 {
        register_before_there_was_an_index(&fixture, "1", &format!("old-{number}")).await;
    }
    for number in 36..40 {
        assert!(create_with_a_name_of(&fixture, &format!("old-{number}"), 300_000).await);
    }
    assert!(fixture.sdk.scan().table_name("clients").send().await.unwrap().last_evaluated_key.is_some());
    register_before_there_was_an_index(&fixture, "2", "elsewhere").await;
    register_before_there_was_an_index(&fixture, "1", "gone").await;
    assert_eq!(ctl(&fixture, "client delete gone --yes").run().await.code, Some(0));
    for line in ["--id new", "--id static --static"] {
        object(&fixture, &format!("client register --service 1 {line}")).await;
    }
    let left_alone = ["client#elsewhere", "client#gone", "client#new", "client#static"];
    let before = items(&fixture, &left_alone).await;

    let start = Idle::used(clock());
    let expected = json!({ "tracked": 40, "already_tracked": 1, "not_dynamic": 1 });
    assert_eq!(object(&fixture, "client track --service 1").await, expected);
    let mut listed = Vec::new();
    for list in List::all() {
        let page = fixture.direct().idle_clients(list, clock(), None).await.unwrap();
        listed.extend(page.clients);
    }
    listed.retain(|(id, _)| id.as_str().starts_with("old-"));
    assert_eq!(listed.len(), 40, "the sweep sees them");
    for (id, idle) in &listed {
        assert!(idle.used && (start.since..=clock()).contains(&idle.since), "{id}: {idle:?}");
        assert_eq!(live(&fixture, id.as_str()).await.version, Some(Version(1)), "nothing else is changed");
    }
    assert_eq!(items(&fixture, &left_alone).await, before);

    let expected = json!({ "tracked": 0, "already_tracked": 41, "not_dynamic": 1 });
    assert_eq!(object(&fixture, "client track --service 1").await, expected, "a second run finds nothing to do");
}

#[tokio::test]
async fn only_a_live_client_that_registered_itself_and_is_not_kept_track_of_begins_to_be() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 1").await;
    object(&fixture, "client create --app app --id api").await;
    for line in ["--id tracked", "--id static --static", "--id gone"] {
        object(&fixture, &format!("client register --service 1 {line}")).await;
    }
    assert_eq!(ctl(&fixture, "client delete gone --yes").run().await.code, Some(0));
    let before = table(&fixture, "clients").await;
    for client in ["api", "tracked", "static", "gone", "nobody"] {
        assert_eq!(fixture.direct().track(&id(client), now()).await, Ok(false), "{client}");
    }
    let after = table(&fixture, "clients").await;
    assert!(after.len() == before.len() && after.iter().all(|item| before.contains(item)));

    register_before_there_was_an_index(&fixture, "1", "old").await;
    assert_eq!(fixture.direct().track(&id("old"), now()).await, Ok(true));
    let ClientStatus::Live { idle, .. } = fixture.direct().client_status(&id("old")).await.unwrap() else {
        panic!("not live")
    };
    assert_eq!(idle, Some(Idle::used(now())));
}

#[tokio::test]
async fn where_a_use_cannot_be_kept_track_of_a_later_run_finds_the_rest() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 1").await;
    for number in 0..40 {
        register_before_there_was_an_index(&fixture, "1", &format!("old-{number}")).await;
    }
    // As long as an item can be, to ten bytes: there is no room for the attributes.
    let mut length = 409_590;
    while !create_with_a_name_of(&fixture, "full", length).await {
        length -= 10;
    }

    let ran = ctl(&fixture, "--json client track --service 1").run().await;
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(1), 1), "{}", ran.stderr);
    assert!(ran.stderr.contains("the database call failed: ValidationException"), "{}", ran.stderr);
    let first = only(&ran.stdout)["tracked"].as_u64().unwrap();

    let key = AttributeValue::S("client#full".to_owned());
    fixture.sdk.delete_item().table_name("clients").key("pk", key).send().await.unwrap();
    let expected = json!({ "tracked": 40 - first, "already_tracked": first, "not_dynamic": 0 });
    assert_eq!(object(&fixture, "client track --service 1").await, expected);
}

#[tokio::test]
async fn a_client_that_cannot_be_read_is_told_in_the_end_and_the_others_are_kept_track_of() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 1").await;
    register_before_there_was_an_index(&fixture, "1", "old").await;
    let broken = [("service_id", AttributeValue::S("1".to_owned()))].map(|(name, value)| (name.to_owned(), value));
    let put = fixture.sdk.put_item().table_name("clients").item("pk", AttributeValue::S("client#broken".to_owned()));
    put.item("client", AttributeValue::M(broken.into())).send().await.unwrap();

    let ran = ctl(&fixture, "--json client track --service 1").run().await;
    let expected = json!({ "tracked": 1, "already_tracked": 0, "not_dynamic": 0 });
    assert_eq!((ran.code, only(&ran.stdout)), (Some(1), expected));
    assert!(ran.stderr.contains("client#broken cannot be read"), "{}", ran.stderr);
    assert!(live(&fixture, "old").await.idle.is_some());
}

#[tokio::test]
async fn show_tells_who_deleted_a_client_and_when() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 1").await;
    let registered = object(&fixture, "client register --service 1 --id 7").await;
    delete_itself(&fixture, "7", text(&registered, "registration_access_token")).await;

    let mut shown = object(&fixture, "client show 7").await;
    let request_id = shown.as_object_mut().unwrap().remove("request_id").unwrap();
    assert!(request_id.as_str().unwrap().starts_with("invocation-"));
    let expected = json!({
        "client_id": "7",
        "deleted": true,
        "deleted_at": humantime(now()),
        "deleted_by": "client#7",
        "via": "registration",
        "source_ip": "203.0.113.7",
    });
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn show_knows_no_client_that_never_was() {
    let fixture = Fixture::empty().await;
    assert!(ctl(&fixture, "client show nobody").run().await.refused().contains("there is no client nobody"));
}

#[tokio::test]
async fn a_list_has_the_live_clients_of_an_application_or_a_service_as_show_has_them() {
    let fixture = Fixture::with_samples().await;
    for (whose, member) in [("--app", "app_id"), ("--service", "service_id")] {
        let id = if whose == "--app" { APPLICATION } else { "715948317" };
        let listed = objects(&fixture, &format!("client list {whose} {id}")).await;
        let listed_ids: BTreeSet<_> = listed.iter().map(|client| text(client, "client_id").to_owned()).collect();
        let mut expected = BTreeSet::new();
        for item in table(&fixture, "clients").await {
            let live = item.get("client").and_then(|client| client.as_m().ok());
            if live.and_then(|client| client.get(member)?.as_s().ok()).is_some_and(|of| of == id) {
                expected.insert(item["pk"].as_s().unwrap().strip_prefix("client#").unwrap().to_owned());
            }
        }
        assert!(expected.len() > 2);
        assert_eq!(listed_ids, expected);
        for client in &listed {
            assert_eq!(object(&fixture, &format!("client show {}", text(client, "client_id"))).await, *client);
        }
    }
    assert_eq!(ctl(&fixture, "--json client list --app nobody").run().await.done(), "");
}

#[tokio::test]
async fn a_list_of_the_deleted_has_who_deleted_them_and_no_other() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 1").await;
    for id in ["7", "8"] {
        let registered = object(&fixture, &format!("client register --service 1 --id {id}")).await;
        if id == "7" {
            delete_itself(&fixture, id, text(&registered, "registration_access_token")).await;
        }
    }
    let deleted = objects(&fixture, "client list --service 1 --deleted").await;
    assert_eq!(deleted, [object(&fixture, "client show 7").await]);
}

#[tokio::test]
async fn a_list_is_a_table_for_people() {
    let fixture = Fixture::empty().await;
    object(&fixture, "client create --app app --id one --name \u{1b}[2Jane --feature owner --protected").await;
    let printed = ctl(&fixture, "client list --app app").run().await.done();
    let expected = "\
client id                         version  protected  features                  name
one                               1        yes        owner                     \u{FFFD}[2Jane\n";
    assert_eq!(printed, expected);
}

#[tokio::test]
async fn a_list_goes_on_over_every_page_of_the_table_and_no_further_than_the_limit() {
    let fixture = Fixture::empty().await;
    // DynamoDB scans a megabyte at a time: these are three pages.
    let name = Some("x".repeat(300_000));
    let long = from_before_there_was_an_index("1", Metadata { client_name: name, ..Metadata::default() });
    for number in 0..8 {
        fixture.direct().create_client(&id(&number.to_string()), &long).await.unwrap();
    }
    assert!(fixture.sdk.scan().table_name("clients").send().await.unwrap().last_evaluated_key.is_some());
    for (line, count) in [("", 8), ("--limit 7", 7), ("--limit 1", 1), ("--limit 9", 8)] {
        let listed = objects(&fixture, &format!("client list --service 1 {line}")).await;
        let ids: BTreeSet<_> = listed.iter().map(|client| text(client, "client_id")).collect();
        assert_eq!((listed.len(), ids.len()), (count, count), "{line}");
    }
}

#[tokio::test]
async fn a_list_tells_in_the_end_of_a_client_that_cannot_be_read() {
    let fixture = Fixture::empty().await;
    object(&fixture, "client create --app app --id good").await;
    let broken = [("app_id", AttributeValue::S("app".to_owned()))].map(|(name, value)| (name.to_owned(), value));
    let put = fixture.sdk.put_item().table_name("clients").item("pk", AttributeValue::S("client#broken".to_owned()));
    put.item("client", AttributeValue::M(broken.into())).send().await.unwrap();

    let ran = ctl(&fixture, "--json client list --app app").run().await;
    assert_eq!((ran.code, text(&only(&ran.stdout), "client_id")), (Some(1), "good"));
    assert!(ran.stderr.contains("client#broken cannot be read"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_client_that_is_protected_is_refused_to_its_owner_until_it_no_longer_is() {
    let fixture = Fixture::empty().await;
    let owner = object(&fixture, "client create --app app --id me --feature owner").await;
    object(&fixture, "client create --app app --id target").await;
    let credentials = basic(("me", text(&owner, "client_secret")));
    for (command, protected, version, status) in [("protect", true, 2, 403), ("unprotect", false, 3, 204)] {
        let expected = json!({
            "client_id": "target",
            "protected": protected,
            "version": version,
            "entity_tag": format!("\"{version}\""),
        });
        assert_eq!(object(&fixture, &format!("client {command} target")).await, expected);
        let answer = fixture.send("DELETE", "/config/app/clients/target", Some(&credentials), "").await;
        assert_eq!(answer.status(), status, "{command}");
    }
}

#[tokio::test]
async fn only_a_live_client_is_protected() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 1").await;
    let registered = object(&fixture, "client register --service 1 --id 7").await;
    delete_itself(&fixture, "7", text(&registered, "registration_access_token")).await;
    let before = table(&fixture, "clients").await;
    for line in ["client protect 7", "client unprotect 7", "client protect nobody"] {
        assert!(ctl(&fixture, line).run().await.refused().starts_with("there is no live client"), "{line}");
    }
    assert_eq!(table(&fixture, "clients").await, before);
}

#[tokio::test]
async fn a_client_without_a_version_is_given_its_first_by_protecting_it() {
    let fixture = Fixture::empty().await;
    let client = Client { kind: Kind::Api(ApiClient::default()), protected: false, version: None, idle: None };
    fixture.direct().create_client(&id("old"), &client).await.unwrap();
    assert_eq!(object(&fixture, "client protect old").await["version"], 1);
}

#[tokio::test]
async fn no_secret_stands_in_the_table_and_no_digest_is_shown() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 1").await;
    let created = object(&fixture, "client create --app app").await;
    let registered = object(&fixture, "client register --service 1").await;
    let issued = object(&fixture, "token issue --service 1").await;
    let secrets = [
        text(&created, "client_secret"),
        text(&registered, "registration_access_token"),
        text(&issued, "access_token"),
    ];

    let stored: Vec<u8> =
        table(&fixture, "clients").await.into_iter().flat_map(|item| contents(&AttributeValue::M(item))).collect();
    for secret in secrets {
        assert!(!holds(&stored, secret.as_bytes()), "{secret} is in the table");
        let digest = Digest::of(secret);
        assert!(holds(&stored, digest.as_bytes()) || holds(&stored, digest.to_hex().as_bytes()), "and its digest is");
    }

    for client in [&created, &registered] {
        for line in ["client show", "--json client show"] {
            let shown = ctl(&fixture, &format!("{line} {}", text(client, "client_id"))).run().await.done();
            for secret in secrets {
                let digest = Digest::of(secret);
                for private in [secret, &digest.to_hex(), &BASE64_STANDARD.encode(digest.as_bytes())] {
                    assert!(!shown.contains(private), "{private} in\n{shown}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_table_is_created_once_under_the_name_given() {
    let fixture = Fixture::empty().await;
    let by_option = ctl(&fixture, "--json table create --table by-option").with_env("CLIENTS_TABLE", "clients");
    assert_eq!(by_option.run().await.done(), "{\"table\":\"by-option\"}\n");
    let by_setting = ctl(&fixture, "service create 1").with_env("CLIENTS_TABLE", "by-option");
    by_setting.run().await.done();
    assert_eq!(table(&fixture, "by-option").await.len(), 1);

    assert!(ctl(&fixture, "table create").run().await.refused().contains("the table clients exists already"));
    let described = fixture.sdk.describe_time_to_live().table_name("by-option").send().await.unwrap();
    let time_to_live = described.time_to_live_description.unwrap();
    assert_eq!(time_to_live.attribute_name.as_deref(), Some("expires_at"));
}

#[tokio::test]
async fn a_table_that_exists_is_given_what_it_lacks_and_nothing_else() {
    let fixture = Fixture::empty().await;
    let described = async |name| fixture.sdk.describe_table().table_name(name).send().await.unwrap().table.unwrap();
    let whole = described("clients").await;
    for (name, has_time_to_live, has_index, added) in [
        ("interrupted", false, true, &["time_to_live"][..]),
        ("from-before", true, false, &["index"]),
        ("neither", false, false, &["time_to_live", "index"]),
    ] {
        create_by_hand(&fixture, name, "pk", has_index).await;
        if has_time_to_live {
            let update = fixture.sdk.update_time_to_live().table_name(name);
            update.time_to_live_specification(time_to_live().unwrap()).send().await.unwrap();
        }
        let line = format!("table create --table {name}");
        assert_eq!(object(&fixture, &line).await, json!({ "table": name, "added": added }));

        let expiry = fixture.sdk.describe_time_to_live().table_name(name).send().await.unwrap();
        let expiry = expiry.time_to_live_description.unwrap();
        assert_eq!(expiry.attribute_name.as_deref(), Some("expires_at"), "{name}");
        let mended = described(name).await;
        let index = |table: &TableDescription| {
            let [index] = table.global_secondary_indexes() else { panic!("one index") };
            (index.index_name.clone(), index.key_schema.clone(), index.projection.clone())
        };
        assert_eq!(index(&mended), index(&whole), "{name}");
        assert!(ctl(&fixture, &line).run().await.refused().contains("exists already"), "{name}");
    }
}

#[tokio::test]
async fn people_are_told_what_a_table_lacked() {
    let fixture = Fixture::empty().await;
    create_by_hand(&fixture, "neither", "pk", false).await;
    let expected = "\
The table existed already, and was given what it lacked.
  table  neither
  added  its time to live
         its index, which DynamoDB fills in its own time\n";
    assert_eq!(ctl(&fixture, "table create --table neither").run().await.done(), expected);
}

#[tokio::test]
async fn a_table_of_another_definition_is_left_as_it_is() {
    let fixture = Fixture::empty().await;
    create_by_hand(&fixture, "foreign", "id", false).await;
    let described = async || {
        let time_to_live = fixture.sdk.describe_time_to_live().table_name("foreign").send().await.unwrap();
        let table = fixture.sdk.describe_table().table_name("foreign").send().await.unwrap();
        (table.table, time_to_live.time_to_live_description)
    };
    let before = described().await;

    assert!(ctl(&fixture, "table create --table foreign").run().await.refused().contains("exists already"));
    assert_eq!(described().await, before);
}

#[tokio::test]
async fn every_shell_is_given_its_completions_without_a_setting() {
    let fixture = Fixture::empty().await;
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let line = format!("completions {shell}");
        let script = ctl(&fixture, &line).with_env("DATABASE_ATTEMPTS", "never").run().await.done();
        assert!(script.contains("unprotect") && script.contains("deleted"), "{shell}");
    }
}

#[tokio::test]
async fn there_is_no_colour_off_a_terminal() {
    let fixture = Fixture::empty().await;
    for line in ["--help", "client list", "client show nobody"] {
        let ran = ctl(&fixture, line).with_env("TERM", "xterm-256color").run().await;
        assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'), "{line}");
    }
}

#[tokio::test]
async fn the_first_session_in_the_help_works_as_it_stands() {
    let fixture = Fixture::empty().await;
    let help = ctl(&fixture, "--help").run().await.done();
    let session: Vec<_> = help.lines().filter_map(|line| line.strip_prefix("  deregisterctl ")).collect();
    assert_eq!(session.len(), 8, "{help}");
    for line in session {
        ctl(&fixture, line).with_env("CLIENTS_TABLE", "first-session").run().await.done();
    }
}

#[tokio::test]
async fn every_command_explains_itself() {
    let fixture = Fixture::empty().await;
    for command in [
        "table create",
        "service create",
        "token issue",
        "client create",
        "client register",
        "client show",
        "client list",
        "client protect",
        "client unprotect",
        "client track",
        "import",
        "completions",
    ] {
        let help = ctl(&fixture, &format!("{command} --help")).run().await.done();
        assert!(help.contains(&format!("Usage: deregisterctl {command}")), "{help}");
        assert!(help.contains("--json") && help.contains("--table <NAME>"), "{help}");
    }
}

#[tokio::test]
async fn a_wrong_command_line_exits_with_2_and_writes_nothing() {
    let fixture = Fixture::empty().await;
    let long = "x".repeat(2041);
    for line in [
        "",
        "client",
        "client delete me",
        "client create",
        "client create --app app --id a:b",
        "client create --app app --allow 203.0.113.0/33",
        "client create --app app --allow anywhere",
        &format!("client create --app app --id {long}"),
        "client register --service 1 --id 7 --count 2",
        "client register --service 1 --count 0",
        "client register",
        "client list",
        "client list --app app --service 1",
        "client list --app app --limit 0",
        "client protect",
        "client track",
        "client track --app app",
        "import --app app",
        "import list.json",
        "completions dos",
        "token issue",
        "token issue --service 1 --organization org",
        "token issue --organization org --expires-in soon",
        "token issue --organization org --expires-in 36501d",
    ] {
        let ran = ctl(&fixture, line).run().await;
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{line}");
        assert!(!ran.stderr.is_empty(), "{line}");
    }
    assert!(table(&fixture, "clients").await.is_empty());
}

#[tokio::test]
async fn a_database_out_of_reach_is_told_in_one_sentence() {
    let fixture = Fixture::empty().await;
    // Bound, and not listening: nobody else comes by this port.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobodys = socket.local_addr().unwrap();
    for line in ["table create", "service create 1", "token issue --organization org", "client show me"] {
        let unreachable = ctl(&fixture, line).with_env("DATABASE_ATTEMPTS", "1");
        let ran = unreachable.with_env("AWS_ENDPOINT_URL_DYNAMODB", &format!("http://{nobodys}")).run().await;
        assert!(ran.refused().starts_with("the database is unavailable"), "{line}");
    }
}

#[tokio::test]
async fn a_wrong_setting_is_told_in_one_sentence() {
    let fixture = Fixture::empty().await;
    let ran = ctl(&fixture, "client show me").with_env("DATABASE_ATTEMPTS", "often").run().await;
    assert!(ran.refused().starts_with("DATABASE_ATTEMPTS must be a whole number"));
}

#[tokio::test]
async fn an_output_that_nobody_reads_is_a_failure_and_no_panic() {
    let fixture = Fixture::empty().await;
    for line in ["service create 1", "client register --service 1 --count 20"] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut unread = ctl(&fixture, line);
        unread.command.stdout(writer);
        assert!(unread.run().await.refused().starts_with("what was done cannot be printed"), "{line}");
    }
}

#[tokio::test]
async fn a_write_that_took_effect_unknown_to_the_tool_is_recognized() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 1").await;

    let mut printed = Vec::new();
    for line in
        ["client create --app app --feature owner --id me", "client register --service 1", "token issue --service 1"]
    {
        let first_unknown = |put| if put == 0 { Put::DoneUnknown } else { Put::Done };
        let endpoint = front(&fixture, first_unknown).await;
        let ran = ctl(&fixture, &format!("--json {line}")).with_env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint).run().await;
        printed.push(only(&ran.done()));
    }
    let [owner, registered, issued] = &printed[..] else { panic!("three runs, three objects") };
    assert_eq!(table(&fixture, "clients").await.len(), 4, "each of them once, and the service");

    let credentials = basic(("me", text(owner, "client_secret")));
    let answer = fixture.send("DELETE", "/config/app/clients/nobody", Some(&credentials), "").await;
    assert_eq!(answer.status(), 404, "the owner is known");
    let answer = fixture.invoke(&authlete("1", text(issued, "access_token"), registered)).await;
    assert_eq!(body(&answer)["action"], "DELETED");
}

// What is there beforehand.

/// A table with this partition key, with its index or without, and without its time to live.
async fn create_by_hand(fixture: &Fixture, name: &str, key: &str, has_index: bool) {
    let definition = definition(name).unwrap();
    let (mut keys, mut attributes) = (definition.key_schema.unwrap(), definition.attribute_definitions.unwrap());
    key.clone_into(&mut keys.first_mut().unwrap().attribute_name);
    key.clone_into(&mut attributes.first_mut().unwrap().attribute_name);
    attributes.truncate(if has_index { 3 } else { 1 });
    let create = fixture.sdk.create_table().table_name(name).set_key_schema(Some(keys));
    let create = create.set_attribute_definitions(Some(attributes)).set_billing_mode(definition.billing_mode);
    let indexes = definition.global_secondary_indexes.filter(|_| has_index);
    create.set_global_secondary_indexes(indexes).send().await.unwrap();
}

/// A client that registered itself, and of whose use nobody keeps track.
fn from_before_there_was_an_index(service: &str, metadata: Metadata) -> Client {
    let client = OAuthClient { service_id: id(service), dynamic: true, registration_token_digest: None, metadata };
    Client { kind: Kind::OAuth(client), protected: false, version: Some(Version(1)), idle: None }
}

async fn register_before_there_was_an_index(fixture: &Fixture, service: &str, client_id: &str) {
    let client = from_before_there_was_an_index(service, Metadata::default());
    fixture.direct().create_client(&id(client_id), &client).await.unwrap();
}

/// The same with a name of so many bytes; whether it finds room in an item.
async fn create_with_a_name_of(fixture: &Fixture, client_id: &str, length: usize) -> bool {
    let metadata = Metadata { client_name: Some("x".repeat(length)), ..Metadata::default() };
    let client = from_before_there_was_an_index("1", metadata);
    fixture.direct().create_client(&id(client_id), &client).await.is_ok()
}

// What is looked at.

/// The tool's clock.
#[expect(clippy::disallowed_methods, reason = "the tool has the real one")]
fn clock() -> SystemTime {
    SystemTime::now()
}

/// The live client with this id.
async fn live(fixture: &Fixture, client_id: &str) -> Client {
    match client(fixture, client_id).await {
        Some(Record::Client(client)) => client,
        other => panic!("{client_id} is not live: {other:?}"),
    }
}

/// The items under these keys.
async fn items(fixture: &Fixture, keys: &[&str]) -> Vec<Option<Item>> {
    let mut items = Vec::new();
    for key in keys {
        items.push(fixture.item(key).await);
    }
    items
}

/// An instant in RFC 3339's words.
fn humantime(instant: SystemTime) -> String {
    humantime::format_rfc3339_seconds(instant).to_string()
}

/// The bytes of every key and value.
fn contents(value: &AttributeValue) -> Vec<u8> {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.clone().into_bytes(),
        AttributeValue::B(bytes) => bytes.clone().into_inner(),
        AttributeValue::Bool(_) | AttributeValue::Null(_) => Vec::new(),
        AttributeValue::L(values) => values.iter().flat_map(contents).collect(),
        AttributeValue::M(values) => {
            values.iter().flat_map(|(name, value)| [name.clone().into_bytes(), contents(value)].concat()).collect()
        }
        other => panic!("the table holds no {other:?}"),
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// What the function answers when its clock says so.
async fn answer_at(fixture: &Fixture, clock: fn() -> SystemTime, event: &str) -> Response<Body> {
    let function = Delete::new(fixture.clients.clone(), Realm::new("deregister").unwrap(), clock);
    let event = LambdaEvent::new(serde_json::from_str(event).unwrap(), Context::default());
    function.call(event).await.unwrap().response
}
