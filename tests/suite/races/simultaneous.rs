//! Deletions and changes at the same time, in an order that the scheduler chooses.

use super::{features, set};
use crate::support::{
    Fixture,
    endpoint::Endpoint::{self, Configuration},
    sample::TARGET,
};
use std::sync::Arc;
use tokio::{sync::Barrier, task::JoinSet};

#[tokio::test]
async fn one_of_64_deletions_of_a_client_succeeds() {
    for endpoint in Endpoint::ALL {
        let fixture = Fixture::anywhere_with_samples().await;
        let start = Arc::new(Barrier::new(64));
        let mut requests = JoinSet::new();
        for _ in 0..64 {
            let (fixture, start) = (fixture.clone(), Arc::clone(&start));
            requests.spawn(async move {
                start.wait().await;
                endpoint.delete(&fixture).await
            });
        }
        let answers = requests.join_all().await;
        let deleted = answers.iter().filter(|answer| endpoint.is_deleted(answer)).count();
        let missing = answers.iter().filter(|answer| endpoint.is_missing(answer)).count();
        assert_eq!((deleted, missing), (1, 63), "{endpoint:?}");
        assert!(!fixture.lives(endpoint.client()).await);
    }
}

#[tokio::test]
async fn a_client_that_becomes_an_owner_during_its_deletion_is_either_deleted_or_an_owner() {
    for _ in 0..50 {
        let fixture = Fixture::anywhere_with_samples().await;
        let (answer, ()) =
            tokio::join!(Configuration.delete(&fixture), set(&fixture, TARGET, "features", features(&["owner"])));
        let item = fixture.item(&format!("client#{TARGET}")).await.unwrap();
        match answer.status().as_u16() {
            204 => assert_ne!(item["tombstone"].as_m().unwrap()["features"], features(&["owner"])),
            403 => assert_eq!(item["client"].as_m().unwrap()["features"], features(&["owner"])),
            other => panic!("{other}"),
        }
    }
}
