//! The examples of a failing database in `openapi.yaml`. `tests/openapi` compares all others.

use crate::support::{
    Fixture, basic, bearer,
    sample::{APPLICATION, CLIENT, OWNER, RFC_CLIENT, SERVICE, SERVICE_TOKEN, TARGET},
    text,
    wire::Fault,
};
use saphyr::{LoadableYamlNode, Yaml};
use std::collections::BTreeMap;

/// Names and values: of headers, or of a JSON object of strings.
type Members = BTreeMap<String, String>;

fn document() -> Yaml<'static> {
    Yaml::load_from_str(include_str!("../../openapi.yaml")).unwrap().remove(0)
}

/// The headers and the body of an example.
fn documented(document: &Yaml<'_>, operation: (&str, &str), status: &str, example: &str) -> (Members, Members) {
    let response = &document["paths"][operation.0][operation.1]["responses"][status];
    let content = &response["content"]["application/json"]["examples"][example]["value"];
    let mut headers = Members::from([("content-type".to_owned(), "application/json".to_owned())]);
    for (name, header) in response["headers"].as_mapping().unwrap() {
        let component = header["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        let value = scalar(&document["components"]["headers"][component]["example"]);
        headers.insert(name.as_str().unwrap().to_lowercase(), value);
    }
    let members = content.as_mapping().unwrap().iter();
    (headers, members.map(|(name, value)| (scalar(name), scalar(value))).collect())
}

fn scalar(value: &Yaml<'_>) -> String {
    value.as_str().map_or_else(|| value.as_integer().unwrap().to_string(), str::to_owned)
}

#[test]
fn the_document_has_the_version_of_the_package() {
    assert_eq!(document()["info"]["version"].as_str(), Some(env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn a_failing_database_is_answered_as_documented() {
    let document = document();
    let configuration = ("/config/{appId}/clients/{apiClientId}", "delete");
    let registration = ("/register/{clientId}", "delete");
    let authlete = ("/api/{serviceId}/client/registration/delete", "post");
    let parameters = serde_json::json!({ "clientId": CLIENT.0, "token": CLIENT.1 }).to_string();

    for (operation, ids, credentials, failed_write) in [
        (configuration, &[("{appId}", APPLICATION), ("{apiClientId}", TARGET)][..], basic(OWNER), ("500", "broken")),
        (registration, &[("{clientId}", RFC_CLIENT.0)], bearer(RFC_CLIENT.1), ("500", "broken")),
        (authlete, &[("{serviceId}", SERVICE)], bearer(SERVICE_TOKEN), ("200", "broken-write")),
    ] {
        let path = ids.iter().fold(operation.0.to_owned(), |path, (name, id)| path.replace(name, id));
        for ((status, example), call, error) in [
            (("503", "throttled"), "BatchGetItem", "ThrottlingException"),
            (("500", "broken"), "BatchGetItem", "AccessDeniedException"),
            (failed_write, "UpdateItem", "AccessDeniedException"),
        ] {
            let fixture = Fixture::with_samples().await;
            // The SDK makes four attempts of a throttled call, and one of the other.
            (0..4).for_each(|_| fixture.wire.plan(call, Fault::error(400, error)));
            let method = operation.1.to_uppercase();
            let answer = fixture.send(&method, &path, Some(&credentials), &parameters).await;

            let headers =
                answer.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()));
            let body: Members = serde_json::from_str(text(&answer)).unwrap();
            assert_eq!(answer.status().as_str(), status, "{path} {example}");
            assert_eq!((headers.collect(), body), documented(&document, operation, status, example), "{path}");
        }
    }
}
