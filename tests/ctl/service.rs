//! `service`, and commands that name a service.

use crate::{
    run::text,
    support::{Fixture, build::id},
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    model::Service,
    snapshot::{Key, Record},
};

#[tokio::test]
async fn every_switch_is_stored() {
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
        let printed = fixture.object(line).await;
        let mut expected = serde_json::json!({
            "service_id": service_id,
            "dynamic_registration": service.dynamic_registration,
            "unauthorized_on_client_config": service.unauthorized_on_client_config,
            "error_description_omitted": service.error_description_omitted,
            "error_uri_omitted": service.error_uri_omitted,
        });
        if let Some(organization) = &service.organization_id {
            expected["organization_id"] = organization.as_str().into();
        }
        assert_eq!(printed, expected);
        let found = fixture.direct().find(&Key::Service(id(service_id))).await.unwrap();
        assert_eq!(found, Some(Record::Service(service)));
    }
}

#[tokio::test]
async fn a_missing_service_is_refused() {
    let fixture = Fixture::empty().await;
    for line in [
        "client register --service nowhere",
        "token issue --service nowhere",
        "client track --service nowhere",
        "service show nowhere",
        "service update nowhere --omit-error-uri yes",
    ] {
        assert!(fixture.ctl(line).run().await.refused().contains("there is no service nowhere"));
    }
    assert!(fixture.items("clients").await.is_empty());
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_nothing_else() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1 --organization org --omit-error-uri").await;
    let created = Service { organization_id: Some("org".to_owned()), error_uri_omitted: true, ..Service::default() };
    let mut expected = created.clone();
    for (options, change) in [
        ("--dynamic-registration no", (|service| service.dynamic_registration = false) as fn(&mut Service)),
        ("--unauthorized-on-client-config yes", |service| service.unauthorized_on_client_config = true),
        ("--omit-error-description yes --omit-error-uri no", |service| {
            (service.error_description_omitted, service.error_uri_omitted) = (true, false);
        }),
        ("--no-organization", |service| service.organization_id = None),
        ("--organization ours --dynamic-registration yes", |service| {
            (service.organization_id, service.dynamic_registration) = (Some("ours".to_owned()), true);
        }),
    ] {
        change(&mut expected);
        let printed = fixture.object(&format!("service update 1 {options}")).await;
        let found = fixture.direct().find(&Key::Service(id("1"))).await.unwrap();
        assert_eq!(found, Some(Record::Service(expected.clone())), "{options}");
        assert_eq!(printed, fixture.object("service show 1").await, "{options}");
    }
    for line in ["service update 1", "service update 1 --organization a --no-organization"] {
        assert_eq!(fixture.ctl(line).run().await.code, Some(2), "{line}");
    }
}

#[tokio::test]
async fn a_service_that_cannot_be_read_is_not_changed() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    let update = fixture.sdk.update_item().table_name("clients").key("pk", AttributeValue::S("service#1".to_owned()));
    let update = update.update_expression("SET service.dynamic_registration = :text");
    update.expression_attribute_values(":text", AttributeValue::S("yes".to_owned())).send().await.unwrap();
    let before = fixture.clients_by_key().await;
    let sentence = fixture.ctl("service update 1 --omit-error-uri yes").run().await.refused();
    assert!(sentence.contains("service.dynamic_registration must be a Boolean"), "{sentence}");
    assert_eq!(fixture.clients_by_key().await, before);
}

#[tokio::test]
async fn services_are_listed_as_show_prints_them() {
    let fixture = Fixture::empty().await;
    for line in ["service create 1 --organization org", "service create 2", "client create --app app"] {
        fixture.object(line).await;
    }
    let mut listed = fixture.objects("service list").await;
    listed.sort_by_key(|service| text(service, "service_id").to_owned());
    assert_eq!(listed, [fixture.object("service show 1").await, fixture.object("service show 2").await]);
}
