//! `service create`, and commands that name a service.

use crate::support::{Fixture, build::id};
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
    for line in ["client register --service nowhere", "token issue --service nowhere", "client track --service nowhere"]
    {
        assert!(fixture.ctl(line).run().await.refused().contains("there is no service nowhere"));
    }
    assert!(fixture.items("clients").await.is_empty());
}
