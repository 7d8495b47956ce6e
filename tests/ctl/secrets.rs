//! The table has digests instead of secrets, and no command prints a digest.

use crate::{run::text, support::Fixture};
use aws_sdk_dynamodb::types::AttributeValue;
use base64::{Engine, prelude::BASE64_STANDARD};
use deregister::model::Digest;

#[tokio::test]
async fn no_secret_is_stored_and_no_digest_is_printed() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    let created = fixture.object("client create --app app").await;
    let registered = fixture.object("client register --service 1").await;
    let issued = fixture.object("token issue --service 1").await;
    let secrets = [
        text(&created, "client_secret"),
        text(&registered, "registration_access_token"),
        text(&issued, "access_token"),
    ];

    let stored: Vec<u8> =
        fixture.items("clients").await.into_iter().flat_map(|item| contents(&AttributeValue::M(item))).collect();
    for secret in secrets {
        assert!(!holds(&stored, secret.as_bytes()), "{secret} is in the table");
        let digest = Digest::of(secret);
        assert!(holds(&stored, digest.as_bytes()) || holds(&stored, digest.to_hex().as_bytes()), "and its digest is");
    }

    for client in [&created, &registered] {
        for line in ["client show", "--json client show"] {
            let shown = fixture.ctl(&format!("{line} {}", text(client, "client_id"))).run().await.done();
            for secret in secrets {
                let digest = Digest::of(secret);
                for private in [secret, &digest.to_hex(), &BASE64_STANDARD.encode(digest.as_bytes())] {
                    assert!(!shown.contains(private), "{private} in\n{shown}");
                }
            }
        }
    }
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
