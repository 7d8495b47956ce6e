//! The check of the table's items: each finding with its member and its effect, and never a value.

use crate::support::{
    Fixture,
    build::{ClientBuilder, api_client, id, oauth_client},
    now,
};
use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use deregister::{
    dynamodb::{
        admin::{CheckedItem, Effect, Finding, Position},
        item::{self, Item},
    },
    model::{Digest, Idle},
    snapshot::Record,
};
use serde_json::{Value, json};
use strum::VariantNames;

/// The hexadecimal digest in the key of a token.
const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// A value of DynamoDB: `<32>` is binary, of 32 bytes, and an array whose first element is `<SS>` is a set of strings.
fn value(json: &Value) -> AttributeValue {
    match json {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(is) => AttributeValue::Bool(*is),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::String(text) => match text.strip_prefix('<').and_then(|text| text.strip_suffix('>')) {
            Some(length) => AttributeValue::B(Blob::new(vec![7; length.parse().unwrap()])),
            None => AttributeValue::S(text.clone()),
        },
        Value::Array(values) if values.first() == Some(&json!("<SS>")) => {
            AttributeValue::Ss(values.iter().skip(1).map(|text| text.as_str().unwrap().to_owned()).collect())
        }
        Value::Array(values) => AttributeValue::L(values.iter().map(value).collect()),
        Value::Object(members) => {
            AttributeValue::M(members.iter().map(|(name, json)| (name.clone(), value(json))).collect())
        }
    }
}

fn item(key: &str, attributes: &Value) -> Item {
    let AttributeValue::M(mut item) = value(attributes) else { panic!("no object: {attributes}") };
    item.insert("pk".to_owned(), AttributeValue::S(key.to_owned()));
    item
}

/// The effect of each finding, and its member.
fn shown(findings: &[Finding]) -> Vec<String> {
    let shown = |Finding { flaw, effect }: &Finding| format!("{} {}", <&str>::from(*effect), flaw.member);
    findings.iter().map(shown).collect()
}

#[track_caller]
fn assert_finds(key: &str, attributes: &Value, expected: &[&str]) {
    let checked = CheckedItem::of(&item(key, attributes));
    assert_eq!(shown(&checked.findings), expected, "{key} {attributes}");
    assert_eq!(checked.key, key);
}

/// The partition of the client `a` in the index, and one that another client has.
fn partitions() -> (String, String) {
    let digit = Digest::of("a").to_hex()[..1].to_owned();
    let other = if digit == "0" { "1" } else { "0" };
    (format!("used#{digit}"), format!("used#{other}"))
}

#[test]
fn what_the_programs_write_has_no_finding() {
    let name = |client: ClientBuilder| item::of_client(&id("a"), &client.build());
    let secret = "a secret";
    for item in [
        name(api_client()),
        name(
            api_client()
                .owner()
                .secret(secret)
                .secret_until(secret, now())
                .allow_list(&["::1", "10.0.0.0/8"])
                .name("n"),
        ),
        name(oauth_client().registration_token("t").name("n").protected().version(None)),
        name(oauth_client().idle(Idle::used(now()))),
        name(oauth_client().idle(Idle::unused(now()))),
        item("service#1", &json!({ "service": { "organization_id": "o", "dynamic_registration": false } })),
        item(&format!("token#{DIGEST}"), &json!({ "token": { "service_id": "1" }, "expires_at": 1_800_000_000 })),
    ] {
        let checked = CheckedItem::of(&item);
        assert_eq!(shown(&checked.findings), [""; 0], "{item:?}");
    }
}

#[test]
fn a_member_that_decides_refuses_and_one_that_describes_is_ignored() {
    for (client, expected) in [
        (json!({ "kind": "api", "app_id": 5 }), &["refused client.app_id"][..]),
        (json!({ "kind": "api" }), &["refused client.app_id"]),
        (json!({ "kind": "API", "app_id": "x" }), &["refused client.kind"]),
        (json!({ "app_id": "x" }), &["refused client.kind"]),
        (json!({ "kind": "<3>", "app_id": "x" }), &["refused client.kind"]),
        (json!("a text"), &["refused client"]),
        (json!({ "kind": "api", "app_id": "x", "protected": "no" }), &["refused client.protected"]),
        (json!({ "kind": "api", "app_id": "x", "version": "1" }), &["ignored client.version"]),
        (json!({ "kind": "api", "app_id": "x", "name": 5 }), &["ignored client.name"]),
        (json!({ "kind": "api", "app_id": "x", "features": null }), &["refused client.features"]),
        (json!({ "kind": "api", "app_id": "x", "features": ["owner", 5] }), &["refused client.features"]),
        (json!({ "kind": "api", "app_id": "x", "features": ["<SS>", "owner"] }), &[]),
        (json!({ "kind": "api", "app_id": "x", "ip_allow_list": "::1" }), &["refused client.ip_allow_list"]),
        (
            json!({ "kind": "api", "app_id": "x", "ip_allow_list": ["::1", "anywhere", "10.0.0.0/33"] }),
            &["ignored client.ip_allow_list[1]", "ignored client.ip_allow_list[2]"],
        ),
        (
            json!({ "kind": "api", "app_id": "x", "secrets": [{ "digest": "<32>" }, { "digest": "<31>" }, "<32>", {}] }),
            &["refused client.secrets[1].digest", "refused client.secrets[2]", "refused client.secrets[3].digest"],
        ),
        (
            json!({ "kind": "api", "app_id": "x", "secrets": [{ "digest": "<32>", "expires_at": 1_800_000_000_000_u64 }] }),
            &["expired client.secrets[0].expires_at"],
        ),
        (json!({ "kind": "oauth", "service_id": "" }), &["refused client.service_id"]),
        (json!({ "kind": "oauth", "dynamic": "true" }), &["refused client.dynamic"]),
        (json!({ "kind": "oauth", "registration_token_digest": "x" }), &["refused client.registration_token_digest"]),
        (json!({ "kind": "oauth", "metadata": null }), &["ignored client.metadata"]),
        (
            json!({ "kind": "oauth", "metadata": { "client_name": 5, "redirect_uris": [5], "grant_types": "x" } }),
            &[
                "ignored client.metadata.client_name",
                "ignored client.metadata.redirect_uris",
                "ignored client.metadata.grant_types",
            ],
        ),
        (
            json!({ "kind": "oauth", "dynamic": 1, "metadata": 1, "protected": 1 }),
            &["refused client.protected", "refused client.dynamic", "ignored client.metadata"],
        ),
    ] {
        assert_finds("client#a", &json!({ "client": client }), expected);
        let is_unreadable =
            matches!(item::read(item("client#a", &json!({ "client": client }))), Record::Unreadable(..));
        assert_eq!(is_unreadable, expected.iter().any(|finding| finding.starts_with("refused ")), "{client}");
    }
}

#[test]
fn the_members_of_services_and_tokens_are_checked() {
    let token = format!("token#{DIGEST}");
    for (key, attributes, expected) in [
        ("service#1", json!({ "service": 5 }), &["refused service"][..]),
        ("service#1", json!({ "service": { "organization_id": 5 } }), &["refused service.organization_id"]),
        (
            "service#1",
            json!({ "service": { "dynamic_registration": "no" } }),
            &["refused service.dynamic_registration"],
        ),
        ("service#1", json!({ "service": { "error_uri_omitted": 1 } }), &["ignored service.error_uri_omitted"]),
        ("service#1", json!({ "service": {}, "expires_at": 1_800_000_000 }), &["removed expires_at"]),
        (&token, json!({ "token": {} }), &["refused token.service_id"]),
        (&token, json!({ "token": { "service_id": "1", "organization_id": "o" } }), &["refused token.service_id"]),
        (&token, json!({ "token": { "service_id": "1" }, "expires_at": "2027-01-15" }), &["expired expires_at"]),
        (&token, json!({ "token": { "service_id": "1" }, "expires_at": 1_800_000_000.5 }), &["expired expires_at"]),
        (&token, json!({ "token": { "service_id": "1" }, "expires_at": -1 }), &["expired expires_at"]),
        (&token, json!({ "token": { "service_id": "1" }, "expires_at": 253_402_300_800_u64 }), &["expired expires_at"]),
        (&token, json!({ "token": { "service_id": "1" }, "expires_at": null }), &["expired expires_at"]),
    ] {
        assert_finds(key, &attributes, expected);
    }
}

#[test]
fn everything_that_a_restoration_needs_of_a_tombstone_is_checked() {
    let client = json!({ "kind": "api", "app_id": "x" });
    let deleted = json!({ "at": 1, "by": "b", "via": "v", "request_id": "r", "lacks": ["metadata"] });
    let whole = json!({ "tombstone": client, "deleted": deleted, "expires_at": 1_800_000_000 });
    assert_finds("client#a", &whole, &[]);
    for (attribute, change, expected) in [
        ("tombstone", None, &["refused tombstone"][..]),
        ("tombstone", Some(json!("x")), &["refused tombstone"]),
        ("tombstone", Some(json!({ "kind": "api" })), &["refused tombstone.app_id"]),
        ("tombstone", Some(json!({ "kind": "oauth", "metadata": 5 })), &["ignored tombstone.metadata"]),
        (
            "tombstone",
            Some(json!({ "kind": "api", "app_id": "x", "ip_allow_list": ["nowhere"] })),
            &["ignored tombstone.ip_allow_list[0]"],
        ),
        ("deleted", None, &["refused deleted"]),
        ("deleted", Some(json!(true)), &["refused deleted"]),
        (
            "deleted",
            Some(json!({ "at": "1", "by": 1, "via": [], "source_ip": {}, "request_id": "<3>", "lacks": 1 })),
            &[
                "ignored deleted.by",
                "ignored deleted.via",
                "ignored deleted.request_id",
                "ignored deleted.source_ip",
                "ignored deleted.at",
                "ignored deleted.lacks",
            ],
        ),
        ("expires_at", None, &[]),
        ("expires_at", Some(json!("soon")), &["expired expires_at"]),
        ("expires_at", Some(json!(1_800_000_000_000_u64)), &["expired expires_at"]),
        ("idle", Some(json!("used#0")), &["ignored idle"]),
        ("history", Some(json!("x")), &["refused history"]),
    ] {
        let mut changed = whole.clone();
        match change {
            Some(change) => changed[attribute] = change,
            None => drop(changed.as_object_mut().unwrap().remove(attribute)),
        }
        assert_finds("client#a", &changed, expected);
    }
}

#[test]
fn every_entry_of_a_history_is_checked() {
    let entry = json!({ "at": 1, "by": "b", "via": "v", "request_id": "r", "restored": { "at": 2, "by": "b" } });
    let client = json!({ "kind": "oauth" });
    for (path, change, expected) in [
        ("/at", json!("1"), &["ignored history[1].at"][..]),
        ("/by", json!(1), &["ignored history[1].by"]),
        ("/restored", json!(1), &["refused history[1].restored"]),
        ("/restored/at", json!(1.5), &["refused history[1].restored.at"]),
        ("/restored/by", json!(null), &["ignored history[1].restored.by"]),
        ("", json!(1), &["refused history[1]"]),
    ] {
        let mut changed = entry.clone();
        *changed.pointer_mut(path).unwrap() = change;
        assert_finds("client#a", &json!({ "client": client, "history": [entry, changed] }), expected);
    }
    assert_finds("client#a", &json!({ "client": client, "history": {} }), &["refused history"]);
}

#[test]
fn the_keys_of_the_index_are_checked() {
    let (own, other) = partitions();
    let since = json!(1_800_000_000);
    for (idle, idle_since, expected) in [
        (json!(own), json!(1_800_000_000.25), &[][..]),
        (json!(own), json!(1_800_000_000_000_u64), &["ignored idle_since"]),
        (json!(own), json!(-5), &["ignored idle_since"]),
        (json!(own), json!("x"), &["ignored idle_since"]),
        (json!("never#0"), since.clone(), &["ignored idle"]),
        (json!(5), since.clone(), &["ignored idle"]),
        (json!(other), since.clone(), &["misplaced idle"]),
        (json!("unused#z"), since.clone(), &["ignored idle"]),
        (json!("unused#"), since.clone(), &["ignored idle"]),
        (json!("used#00"), since.clone(), &["ignored idle"]),
    ] {
        let client = json!({ "kind": "oauth", "dynamic": true });
        assert_finds("client#a", &json!({ "client": client, "idle": idle, "idle_since": idle_since }), expected);
    }
    let client = json!({ "kind": "oauth", "dynamic": true });
    assert_finds("client#a", &json!({ "client": client, "idle": own }), &["ignored idle_since"]);
    assert_finds("client#a", &json!({ "client": client, "idle_since": since }), &["ignored idle"]);
    let client = json!({ "kind": "oauth" });
    assert_finds("client#a", &json!({ "client": client, "idle": own, "idle_since": since }), &["ignored idle"]);
}

#[test]
fn a_notice_and_the_latest_restoration_are_known_and_a_notice_that_cannot_be_read_is_ignored() {
    let restored = json!({ "at": 1, "by": "operator" });
    let notice = |sweep_at| json!({ "used": true, "idle_since": 1, "sweep_at": sweep_at, "metadata": "{}" });
    let with = |notice: Value| {
        let client = json!({ "kind": "oauth", "dynamic": true });
        json!({ "client": client, "restored": restored, "notice": notice })
    };
    assert_finds("client#a", &with(notice(json!(1))), &[]);
    assert_finds("client#a", &with(notice(json!("1"))), &["ignored notice.sweep_at"]);
    assert_finds("client#a", &with(json!("a text")), &["ignored notice"]);
    let deleted =
        json!({ "tombstone": { "kind": "oauth" }, "deleted": { "at": 1 }, "expires_at": 1, "restored": restored });
    assert_finds("client#a", &deleted, &[]);
    assert_finds("service#a", &json!({ "service": {}, "notice": notice(json!(1)) }), &["ignored notice"]);
}

#[test]
fn an_item_that_is_not_what_its_key_says_is_refused() {
    let client = json!({ "client": { "kind": "oauth" } });
    let tombstone = json!({ "tombstone": { "kind": "oauth" }, "deleted": { "at": 1 }, "expires_at": 1 });
    let service = json!({ "service": {} });
    let token = json!({ "token": { "service_id": "1" } });
    let token_key = format!("token#{DIGEST}");
    for (key, attributes) in [
        ("service#a", &client),
        (&token_key, &client),
        ("service#a", &tombstone),
        ("client#a", &service),
        (&token_key, &service),
        ("client#a", &token),
        ("service#a", &token),
    ] {
        assert_finds(key, attributes, &["refused the item"]);
    }
    for key in ["client#a", "service#a", &token_key] {
        assert_finds(key, &json!({ "something": "else" }), &["refused the item"]);
    }
}

#[test]
fn an_attribute_that_the_item_must_not_have_is_named() {
    let mut attributes = json!({ "client": { "kind": "oauth" } });
    for (name, value, expected) in [
        ("deleted", json!({ "at": 1 }), "ignored deleted"),
        ("tombstone", json!({ "kind": "oauth" }), "ignored tombstone"),
        ("service", json!({}), "ignored service"),
        ("token", json!({}), "ignored token"),
        ("expires_at", json!(1_800_000_000), "removed expires_at"),
        ("expires_at", json!("2027"), "ignored expires_at"),
    ] {
        attributes[name] = value;
        assert_finds("client#a", &attributes, &[expected]);
        attributes.as_object_mut().unwrap().remove(name);
    }
    attributes["note"] = json!("of another program");
    assert_finds("client#a", &attributes, &[]);
}

#[test]
fn a_key_that_no_program_looks_up_is_shortened() {
    let secret = "rat_T5yU8iO2pA6sD9fG3hJ7kL1zX4cV0bNm";
    let client = json!({ "client": { "kind": "oauth" } });
    let token = json!({ "token": { "service_id": "1" } });
    for (key, attributes, shown_key, expected) in [
        (secret.to_owned(), &client, "rat_T5yU… (36 bytes)", "ignored pk"),
        (format!("session#{secret}"), &client, "session#rat_T5yU… (44 bytes)", "ignored pk"),
        (format!("{secret}#x"), &client, "rat_T5yU… (38 bytes)", "ignored pk"),
        (format!("token#{secret}"), &token, "token#rat_T5yU… (42 bytes)", "refused pk"),
        (format!("token#{}", DIGEST.to_uppercase()), &token, "token#9F86D081… (70 bytes)", "refused pk"),
        ("client#".to_owned(), &client, "client#… (7 bytes)", "refused pk"),
        (format!("client#{}", "x".repeat(2041)), &client, "client#xxxxxxxx… (2048 bytes)", "refused pk"),
        ("Client#a".to_owned(), &client, "Client#a… (8 bytes)", "ignored pk"),
        ("äöüäöüäöü".to_owned(), &client, "äöüäöüäö… (18 bytes)", "ignored pk"),
    ] {
        let checked = CheckedItem::of(&item(&key, attributes));
        assert_eq!((checked.key.as_str(), shown(&checked.findings)), (shown_key, vec![expected.to_owned()]));
        assert!(!format!("{checked:?}").contains(secret));
    }
    for (key, shown_key) in [
        (Some(AttributeValue::N("5".to_owned())), "a key that is a number"),
        (Some(AttributeValue::B(Blob::new("x"))), "a key that is binary"),
        (None, "an item without a key"),
    ] {
        let mut item = item("client#a", &client);
        item.remove("pk");
        item.extend(key.map(|key| ("pk".to_owned(), key)));
        let checked = CheckedItem::of(&item);
        assert_eq!((checked.key.as_str(), shown(&checked.findings)), (shown_key, vec!["ignored pk".to_owned()]));
    }
}

#[test]
fn an_item_is_nearly_full_from_4_kb_below_the_limit_on() {
    for (attribute, rest) in
        [("client", json!({})), ("tombstone", json!({ "deleted": { "at": 1 }, "expires_at": 1_800_000_000 }))]
    {
        let item_of = |length| {
            let mut attributes = rest.clone();
            attributes[attribute] = json!({ "kind": "api", "app_id": "x".repeat(length) });
            item("client#a", &attributes)
        };
        let length = 396 * 1024 - item::size(&item_of(0));
        assert_eq!(CheckedItem::of(&item_of(length)).findings, []);
        let findings = CheckedItem::of(&item_of(length + 1)).findings;
        assert_eq!(shown(&findings), ["nearly_full the item"]);
        assert!(findings[0].flaw.must.contains(&(396 * 1024).to_string()));
    }
    let service = json!({ "service": { "organization_id": "x".repeat(400 * 1024 - 100) } });
    assert_finds("service#1", &service, &[]);
}

/// A value may be a secret in the wrong place.
#[test]
fn no_finding_has_a_value() {
    let secret = "5ecret-in-the-wrong-place";
    let value = || [json!(secret), json!([secret]), json!({ secret: secret }), json!([{ secret: secret }])];
    for attribute in [
        "client",
        "tombstone",
        "deleted",
        "expires_at",
        "history",
        "restored",
        "idle",
        "idle_since",
        "notice",
        "service",
        "token",
        secret,
    ] {
        for attributes in value().map(|value| json!({ attribute: value })) {
            for key in ["client#a", "service#a", &format!("token#{DIGEST}")] {
                let checked = CheckedItem::of(&item(key, &attributes));
                assert!(!format!("{checked:?}").contains(secret), "{checked:?}");
            }
        }
    }
    let members = [
        "kind",
        "app_id",
        "service_id",
        "dynamic",
        "features",
        "secrets",
        "ip_allow_list",
        "protected",
        "version",
        "registration_token_digest",
        "name",
        "metadata",
        "digest",
        "client_name",
    ];
    for kind in ["api", "oauth", secret] {
        for member in members {
            for value in value() {
                let mut client = json!({ "app_id": "x", "kind": kind });
                client[member] = value;
                let checked = CheckedItem::of(&item("client#a", &json!({ "client": client })));
                assert!(!format!("{checked:?}").contains(secret), "{checked:?}");
            }
        }
    }
}

#[tokio::test]
async fn every_page_of_the_table_is_checked_in_consistent_reads_and_nothing_is_written() {
    let fixture = Fixture::empty().await;
    for number in 0..8 {
        fixture.create(&number.to_string(), oauth_client().name(&"x".repeat(300_000))).await;
    }
    let put = fixture.sdk.put_item().table_name("clients");
    let broken = item("client#broken", &json!({ "client": 5 }));
    put.set_item(Some(broken.clone())).send().await.unwrap();
    let (mut read, mut found, mut next) = (0, Vec::new(), Some(Position::start()));
    fixture.wire.take_calls();
    while let Some(from) = next {
        let page = fixture.clients.check(from).await.unwrap();
        assert!(fixture.wire.last_body().contains(r#""ConsistentRead":true"#));
        read += page.read;
        found.extend(page.entries);
        next = page.next;
    }
    assert_eq!((read, found), (9, vec![CheckedItem::of(&broken)]));
    let calls = fixture.wire.take_calls();
    assert!(calls.len() > 2 && calls.iter().all(|call| call == "Scan"), "{calls:?}");
}

#[test]
fn the_page_for_operators_explains_every_effect() {
    let page = include_str!("../../docs/operations.md");
    for effect in Effect::VARIANTS {
        assert!(page.contains(&format!("\n| `{effect}` | ")), "{effect}");
    }
}

#[test]
fn a_blocked_id_needs_no_tombstone_and_must_not_expire() {
    let block = json!({ "at": 1, "by": "b", "request_id": "r" });
    let deleted = |block: &Value| json!({ "at": 1, "by": "b", "via": "v", "request_id": "r", "blocked": block });
    let blocked = deleted(&block);
    let tombstone = json!({ "kind": "api", "app_id": "x" });
    for (attributes, expected) in [
        (json!({ "deleted": blocked, "expires_at": 253_402_300_799_u64 }), &[][..]),
        (json!({ "deleted": blocked }), &[]),
        (json!({ "deleted": blocked, "tombstone": tombstone }), &[]),
        (json!({ "deleted": blocked, "expires_at": 1_800_000_000 }), &["removed expires_at"]),
        (json!({ "deleted": blocked, "tombstone": { "kind": "api" } }), &["refused tombstone.app_id"]),
        (json!({ "deleted": deleted(&json!(true)), "tombstone": tombstone }), &["refused deleted.blocked"]),
        (json!({ "deleted": deleted(&json!({ "at": "x" })) }), &["ignored deleted.blocked.at"]),
    ] {
        assert_finds("client#a", &attributes, expected);
    }
}

#[test]
fn a_revocation_in_a_history_is_checked_like_a_deletion() {
    let revocation = |mark: Value| json!({ "at": 1, "by": "b", "via": "v", "request_id": "r", "revoked": mark, "restored": { "at": 1 } });
    let client = json!({ "kind": "api", "app_id": "x" });
    for (history, expected) in [
        (revocation(json!(true)), &[][..]),
        (revocation(json!("yes")), &["ignored history[0].revoked"]),
        (json!({ "at": 1, "revoked": true }), &["refused history[0].restored"]),
    ] {
        assert_finds("client#a", &json!({ "client": client, "history": [history] }), expected);
    }
}
