//! The promises of the operator's tool: the real program, against the embedded DynamoDB.

mod support;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::{Engine, prelude::BASE64_STANDARD};
use deregister::{
    Function, Realm,
    allow_list::AllowList,
    client::{ApiClient, Client, Id, Kind, Metadata, OAuthClient, Service, StoredSecret, Version},
    credential::Secret,
    rule::{Key, Record},
    store::item::Item,
};
use lambda_http::{Body, LambdaEvent, Response, lambda_runtime::Context};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, SystemTime},
};
use support::{Lab, basic, bearer, event, json as body, now};

const APPLICATION: &str = "htb8fuhxnf8e38jrzub3c7pfrr";
const OWN_SECRET: &str = "a secret, of the operator's own";

#[tokio::test]
async fn an_owner_that_it_created_deletes_a_client_that_it_created() {
    let lab = Lab::empty().await;
    let owner =
        object(&lab, &format!("client create --app {APPLICATION} --feature owner --allow 203.0.113.0/24")).await;
    let target = object(&lab, &format!("client create --app {APPLICATION} --feature login_client")).await;

    let path = format!("/config/{APPLICATION}/clients/{}", text(&target, "client_id"));
    let credentials = basic((text(&owner, "client_id"), text(&owner, "client_secret")));
    assert_eq!(lab.send("DELETE", &path, Some(&credentials), "").await.status(), 204);
    assert!(!lab.lives(text(&target, "client_id")).await);
}

#[tokio::test]
async fn ids_and_secrets_of_api_clients_are_32_characters_of_the_vendors_alphabet() {
    let lab = Lab::empty().await;
    let created = object(&lab, "client create --app an-application").await;
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
    let lab = Lab::empty().await;
    let line = "client create --app app --id me --name Jane --feature owner --feature direct_access \
                --allow 198.51.100.0/24 --allow 2001:db8::1 --protected --secret-from-stdin";
    let created = ctl(&lab, line).with_stdin(&format!("{OWN_SECRET}\r\n")).run().await.done();

    assert!(created.contains("me") && !created.contains(OWN_SECRET), "{created}");
    let expected = Client {
        kind: Kind::Api(ApiClient {
            app_id: "app".to_owned(),
            name: Some("Jane".to_owned()),
            features: vec!["owner".to_owned(), "direct_access".to_owned()],
            ip_allow_list: AllowList::new(["198.51.100.0/24", "2001:db8::1"]),
            secrets: vec![StoredSecret { digest: Secret::new(OWN_SECRET).digest(), expires_at: None }],
        }),
        protected: true,
        version: Some(Version(1)),
    };
    assert_eq!(client(&lab, "me").await, Some(Record::Client(expected)));
}

#[tokio::test]
async fn a_secret_that_is_too_short_is_refused() {
    let lab = Lab::empty().await;
    for (secret, bytes) in [("", 0), ("\n", 0), ("fifteen bytes !\n", 15), ("\nsixteen bytes !!\n", 0)] {
        let ran = ctl(&lab, "client create --app app --id me --secret-from-stdin").with_stdin(secret).run().await;
        assert!(ran.refused().ends_with(&format!("has {bytes}")), "{secret:?}");
    }
    let ran = ctl(&lab, "client create --app app --id me --secret-from-stdin").with_stdin("sixteen bytes !!").run();
    ran.await.done();
    assert!(lab.lives("me").await);
}

#[tokio::test]
async fn a_client_that_it_registered_deletes_itself_with_the_token_printed() {
    let lab = Lab::empty().await;
    object(&lab, "service create 715948317").await;
    let registered = object(&lab, "client register --service 715948317").await;
    assert_eq!(registered.as_object().unwrap().len(), 2);

    let token = text(&registered, "registration_access_token");
    assert_eq!(delete_itself(&lab, text(&registered, "client_id"), token).await, 204);
}

#[tokio::test]
async fn as_many_clients_as_asked_for_are_registered_each_with_a_token_of_its_own() {
    let lab = Lab::empty().await;
    object(&lab, "service create 715948317").await;
    let registered = objects(&lab, "client register --service 715948317 --count 40").await;

    let ids: BTreeSet<_> = registered.iter().map(|client| text(client, "client_id")).collect();
    assert_eq!(ids.len(), 40);
    for client in &registered {
        let (id, token) = (text(client, "client_id"), text(client, "registration_access_token"));
        assert!((1..1 << 53).contains(&id.parse::<u64>().unwrap()), "{id}");
        assert_eq!(delete_itself(&lab, id, token).await, 204);
    }
}

#[tokio::test]
async fn an_oauth_client_is_registered_with_the_metadata_of_the_file() {
    let lab = Lab::empty().await;
    object(&lab, "service create 715948317").await;
    let file =
        file("metadata.json", r#"{"client_name": "Jane", "redirect_uris": ["https://example.com"], "jwks": {}}"#);
    let line = format!("client register --service 715948317 --id 7 --protected --metadata {}", file.display());
    let token = object(&lab, &line).await["registration_access_token"].clone();

    let expected = Client {
        kind: Kind::OAuth(OAuthClient {
            service_id: id("715948317"),
            dynamic: true,
            registration_token_digest: Some(Secret::new(token.as_str().unwrap()).digest()),
            metadata: Metadata {
                client_name: Some("Jane".to_owned()),
                redirect_uris: Some(vec!["https://example.com".to_owned()]),
                ..Metadata::default()
            },
        }),
        protected: true,
        version: Some(Version(1)),
    };
    assert_eq!(client(&lab, "7").await, Some(Record::Client(expected)));
}

#[tokio::test]
async fn metadata_that_cannot_be_read_is_refused() {
    let lab = Lab::empty().await;
    object(&lab, "service create 715948317").await;
    let files = [
        file("list.json", r#"["Jane"]"#),
        file("wrong-type.json", r#"{"redirect_uris": "https://example.com"}"#),
        file("no-json", "client_name: Jane"),
        PathBuf::from("no-such-file"),
    ];
    for file in files {
        let line = format!("client register --service 715948317 --metadata {}", file.display());
        assert!(ctl(&lab, &line).run().await.refused().contains(file.to_str().unwrap()));
    }
    assert_eq!(table(&lab, "clients").await.len(), 1, "the service alone");
}

#[tokio::test]
async fn where_registration_is_off_only_static_clients_are_registered() {
    let lab = Lab::empty().await;
    object(&lab, "service create closed --no-dynamic-registration").await;
    assert!(ctl(&lab, "client register --service closed --id 7").run().await.refused().contains("--static"));
    assert_eq!(client(&lab, "7").await, None);

    assert_eq!(object(&lab, "client register --service closed --id 7 --static").await, json!({ "client_id": "7" }));
    let Some(Record::Client(Client { kind: Kind::OAuth(registered), .. })) = client(&lab, "7").await else {
        panic!("no OAuth client");
    };
    assert!(!registered.dynamic && registered.registration_token_digest.is_none());
}

#[tokio::test]
async fn a_service_is_created_with_its_switches() {
    let lab = Lab::empty().await;
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
        let mut printed = object(&lab, line).await;
        assert_eq!(printed.as_object_mut().unwrap().remove("service_id").unwrap(), service_id);
        assert_eq!(serde_json::from_value::<Service>(printed).unwrap(), service);
        let found = lab.quiet_store().find(&Key::Service(id(service_id))).await.unwrap();
        assert_eq!(found, Some(Record::Service(service)));
    }
}

#[tokio::test]
async fn a_token_opens_the_authlete_api_for_what_it_covers_and_for_nothing_else() {
    let lab = Lab::empty().await;
    for line in ["service create 1 --organization ours", "service create 2 --organization ours", "service create 3"] {
        object(&lab, line).await;
    }
    let of_service = object(&lab, "token issue --service 1").await;
    let of_organization = object(&lab, "token issue --organization ours --expires-in 36500d").await;

    for (token, service, status) in [
        (&of_service, "1", 200),
        (&of_service, "2", 403),
        (&of_organization, "1", 200),
        (&of_organization, "2", 200),
        (&of_organization, "3", 403),
    ] {
        let registered = object(&lab, &format!("client register --service {service}")).await;
        let token = text(token, "access_token");
        let answer = lab.invoke(&authlete(service, token, &registered)).await;
        assert_eq!(answer.status(), status, "service {service}");
        if status == 200 {
            assert_eq!(body(&answer)["action"], "DELETED");
            assert_eq!(body(&answer)["client"]["clientId"].to_string(), text(&registered, "client_id"));
        }
    }
}

#[tokio::test]
async fn a_token_is_not_accepted_after_its_time() {
    let lab = Lab::empty().await;
    object(&lab, "service create 1").await;
    let issued = object(&lab, "token issue --service 1 --expires-in 1s").await;
    let registered = object(&lab, "client register --service 1").await;
    let event = authlete("1", text(&issued, "access_token"), &registered);

    // The tool has the real clock: its token has expired in 2084, and had not in 1970.
    let in_2084 = || SystemTime::UNIX_EPOCH + Duration::from_hours(1_000_000);
    assert_eq!(answer_at(&lab, in_2084, &event).await.status(), 401);
    let in_1970 = || SystemTime::UNIX_EPOCH;
    assert_eq!(answer_at(&lab, in_1970, &event).await.status(), 200);
}

#[tokio::test]
async fn what_belongs_to_no_service_is_refused() {
    let lab = Lab::empty().await;
    for line in ["client register --service nowhere", "token issue --service nowhere"] {
        assert!(ctl(&lab, line).run().await.refused().contains("there is no service nowhere"));
    }
    assert!(table(&lab, "clients").await.is_empty());
}

#[tokio::test]
async fn an_id_that_is_taken_is_refused_and_left_as_it_is() {
    let lab = Lab::empty().await;
    let lines = ["service create 1", "client create --app app --id one", "client register --service 1 --id 2 --static"];
    for line in lines {
        object(&lab, line).await;
    }
    let before = table(&lab, "clients").await;
    for line in lines.into_iter().chain(["client register --service 1 --id one", "client create --app app --id 2"]) {
        ctl(&lab, line).run().await.refused();
    }
    let after = table(&lab, "clients").await;
    assert!(after.len() == 3 && after.iter().all(|item| before.contains(item)));
}

#[tokio::test]
async fn the_id_of_a_deleted_client_is_refused() {
    let lab = Lab::empty().await;
    object(&lab, "service create 1").await;
    let registered = object(&lab, "client register --service 1 --id 7").await;
    assert_eq!(delete_itself(&lab, "7", text(&registered, "registration_access_token")).await, 204);

    assert!(ctl(&lab, "client register --service 1 --id 7").run().await.refused().contains("deleted"));
    assert!(!lab.lives("7").await);
}

#[tokio::test]
async fn show_tells_what_a_person_needs_of_a_live_client() {
    let lab = Lab::empty().await;
    let line = "client create --app app --id me --feature owner --secret-from-stdin";
    ctl(&lab, line).with_stdin(OWN_SECRET).run().await.done();
    let words = [
        ("client_id", json!("me")),
        ("deleted", json!(false)),
        ("kind", json!("api")),
        ("app_id", json!("app")),
        ("features", json!(["owner"])),
        ("ip_allow_list", json!([])),
        ("secrets", json!(1)),
        ("secrets_expire_at", json!([null])),
        ("protected", json!(false)),
        ("version", json!(1)),
        ("entity_tag", json!("\"1\"")),
    ];
    assert_eq!(object(&lab, "client show me").await, words.into_iter().collect::<Value>());

    let shown = ctl(&lab, "client show me").run().await.done();
    for line in ["kind               API client", "ip allow list      any address", "entity tag         \"1\""] {
        assert!(shown.contains(line), "{line} in\n{shown}");
    }
}

#[tokio::test]
async fn show_tells_who_deleted_a_client_and_when() {
    let lab = Lab::empty().await;
    object(&lab, "service create 1").await;
    let registered = object(&lab, "client register --service 1 --id 7").await;
    delete_itself(&lab, "7", text(&registered, "registration_access_token")).await;

    let mut shown = object(&lab, "client show 7").await;
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
    let lab = Lab::empty().await;
    assert!(ctl(&lab, "client show nobody").run().await.refused().contains("there is no client nobody"));
}

#[tokio::test]
async fn no_secret_stands_in_the_table_and_no_digest_is_shown() {
    let lab = Lab::empty().await;
    object(&lab, "service create 1").await;
    let created = object(&lab, "client create --app app").await;
    let registered = object(&lab, "client register --service 1").await;
    let issued = object(&lab, "token issue --service 1").await;
    let secrets = [
        text(&created, "client_secret"),
        text(&registered, "registration_access_token"),
        text(&issued, "access_token"),
    ];

    let stored: Vec<u8> =
        table(&lab, "clients").await.into_iter().flat_map(|item| contents(&AttributeValue::M(item))).collect();
    for secret in secrets {
        assert!(!holds(&stored, secret.as_bytes()), "{secret} is in the table");
        let digest = Secret::new(secret).digest();
        assert!(holds(&stored, digest.as_bytes()) || holds(&stored, digest.to_hex().as_bytes()), "and its digest is");
    }

    for client in [&created, &registered] {
        for line in ["client show", "--json client show"] {
            let shown = ctl(&lab, &format!("{line} {}", text(client, "client_id"))).run().await.done();
            for secret in secrets {
                let digest = Secret::new(secret).digest();
                for private in [secret, &digest.to_hex(), &BASE64_STANDARD.encode(digest.as_bytes())] {
                    assert!(!shown.contains(private), "{private} in\n{shown}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_table_is_created_once_under_the_name_given() {
    let lab = Lab::empty().await;
    let by_option = ctl(&lab, "--json table create --table by-option").with_env("CLIENTS_TABLE", "clients");
    assert_eq!(by_option.run().await.done(), "{\"table\":\"by-option\"}\n");
    let by_setting = ctl(&lab, "service create 1").with_env("CLIENTS_TABLE", "by-option");
    by_setting.run().await.done();
    assert_eq!(table(&lab, "by-option").await.len(), 1);

    assert!(ctl(&lab, "table create").run().await.refused().contains("the table clients exists already"));
    let described = lab.client.describe_time_to_live().table_name("by-option").send().await.unwrap();
    let time_to_live = described.time_to_live_description.unwrap();
    assert_eq!(time_to_live.attribute_name.as_deref(), Some("expires_at"));
}

#[tokio::test]
async fn the_first_session_in_the_help_works_as_it_stands() {
    let lab = Lab::empty().await;
    let help = ctl(&lab, "--help").run().await.done();
    let session: Vec<_> = help.lines().filter_map(|line| line.strip_prefix("  deregisterctl ")).collect();
    assert_eq!(session.len(), 8, "{help}");
    for line in session {
        ctl(&lab, line).with_env("CLIENTS_TABLE", "first-session").run().await.done();
    }
}

#[tokio::test]
async fn every_command_explains_itself() {
    let lab = Lab::empty().await;
    for command in ["table create", "service create", "token issue", "client create", "client register", "client show"]
    {
        let help = ctl(&lab, &format!("{command} --help")).run().await.done();
        assert!(help.contains(&format!("Usage: deregisterctl {command}")), "{help}");
        assert!(help.contains("--json") && help.contains("--table <NAME>"), "{help}");
    }
}

#[tokio::test]
async fn a_wrong_command_line_exits_with_2_and_writes_nothing() {
    let lab = Lab::empty().await;
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
        "token issue",
        "token issue --service 1 --organization org",
        "token issue --organization org --expires-in soon",
        "token issue --organization org --expires-in 36501d",
    ] {
        let ran = ctl(&lab, line).run().await;
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{line}");
        assert!(!ran.stderr.is_empty(), "{line}");
    }
    assert!(table(&lab, "clients").await.is_empty());
}

#[tokio::test]
async fn a_database_out_of_reach_is_told_in_one_sentence() {
    let lab = Lab::empty().await;
    let nobodys = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for line in ["table create", "service create 1", "token issue --organization org", "client show me"] {
        let unreachable = ctl(&lab, line).with_env("DATABASE_ATTEMPTS", "1");
        let ran = unreachable.with_env("AWS_ENDPOINT_URL_DYNAMODB", &format!("http://{nobodys}")).run().await;
        assert!(ran.refused().starts_with("the database is unavailable"), "{line}");
    }
}

#[tokio::test]
async fn a_wrong_setting_is_told_in_one_sentence() {
    let lab = Lab::empty().await;
    let ran = ctl(&lab, "client show me").with_env("DATABASE_ATTEMPTS", "often").run().await;
    assert!(ran.refused().starts_with("DATABASE_ATTEMPTS must be a whole number"));
}

#[tokio::test]
async fn an_output_that_nobody_reads_is_a_failure_and_no_panic() {
    let lab = Lab::empty().await;
    for line in ["service create 1", "client register --service 1 --count 20"] {
        let mut ran = ctl(&lab, line);
        ran.reads_output = false;
        assert!(ran.run().await.refused().starts_with("what was done cannot be printed"), "{line}");
    }
}

#[tokio::test]
async fn no_secret_is_lost_with_an_answer_of_the_database() {
    let lab = Lab::empty().await;
    object(&lab, "service create 1").await;

    let losing = |line| ctl(&lab, line).with_env("AWS_ENDPOINT_URL_DYNAMODB", &losing_the_first_put(&lab));
    let owner = only(&losing("--json client create --app app --feature owner --id me").run().await.done());
    let registered = only(&losing("--json client register --service 1 --id 7").run().await.done());
    let issued = only(&losing("--json token issue --service 1").run().await.done());

    let credentials = basic(("me", text(&owner, "client_secret")));
    let answer = lab.send("DELETE", "/config/app/clients/nobody", Some(&credentials), "").await;
    assert_eq!(answer.status(), 404, "the owner is known");
    let answer = lab.invoke(&authlete("1", text(&issued, "access_token"), &registered)).await;
    assert_eq!(body(&answer)["action"], "DELETED");
}

// How the tool is run.

/// A run of the tool.
struct Run {
    command: Command,
    stdin: String,
    reads_output: bool,
}

/// A run of the tool on the lab's database, with the arguments in `line`.
fn ctl(lab: &Lab, line: &str) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deregisterctl"));
    command
        .args(line.split_whitespace())
        .env_clear()
        .env("AWS_ENDPOINT_URL_DYNAMODB", &lab.endpoint)
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Run { command, stdin: String::new(), reads_output: true }
}

impl Run {
    fn with_env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    fn with_stdin(mut self, text: &str) -> Self {
        self.stdin = text.to_owned();
        self
    }

    async fn run(mut self) -> Ran {
        let run = move || {
            let mut child = self.command.spawn().unwrap();
            if !self.reads_output {
                drop(child.stdout.take());
            }
            child.stdin.take().unwrap().write_all(self.stdin.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            let text = |bytes| String::from_utf8(bytes).unwrap();
            Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }
}

/// What came of a run.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    /// The output of a run that did what it was told.
    fn done(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""));
        self.stdout
    }

    /// The one sentence of a run that was refused or failed.
    fn refused(self) -> String {
        assert_eq!((self.code, self.stdout.as_str(), self.stderr.lines().count()), (Some(1), "", 1), "{}", self.stderr);
        self.stderr.trim_end().strip_prefix("deregisterctl: ").unwrap().to_owned()
    }
}

/// The objects that a run prints, one a line.
async fn objects(lab: &Lab, line: &str) -> Vec<Value> {
    let printed = ctl(lab, &format!("--json {line}")).run().await.done();
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The one object that a run prints.
async fn object(lab: &Lab, line: &str) -> Value {
    only(&ctl(lab, &format!("--json {line}")).run().await.done())
}

fn only(printed: &str) -> Value {
    assert_eq!(printed.lines().count(), 1, "{printed}");
    serde_json::from_str(printed).unwrap()
}

fn text<'o>(object: &'o Value, name: &str) -> &'o str {
    object[name].as_str().unwrap_or_else(|| panic!("no {name} in {object}"))
}

/// A file with this text.
fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("ctl-{name}"));
    fs::write(&path, text).unwrap();
    path
}

/// An instant in RFC 3339's words.
fn humantime(instant: SystemTime) -> String {
    humantime::format_rfc3339_seconds(instant).to_string()
}

/// An endpoint in front of the database that closes the connection of the first `PutItem` once that is answered, and
/// keeps the answer.
fn losing_the_first_put(lab: &Lab) -> String {
    let database = lab.endpoint.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut lost = false;
        for client in listener.incoming() {
            let (mut client, mut database) = (client.unwrap(), TcpStream::connect(&database).unwrap());
            while let (request @ 1.., buffer) = read(&mut client) {
                todo!()
            }
        }
    });
    endpoint
}
