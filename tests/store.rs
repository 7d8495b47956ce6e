//! The store's contract, against the embedded DynamoDB through the real SDK.

mod support;

use support::{Lab, basic, json, sample};

#[tokio::test]
async fn smoke() {
    let lab = Lab::with_samples().await;
    lab.wire.take_calls();
    let path = format!("/config/{}/clients/{}", sample::APPLICATION, sample::TARGET);
    let answer = lab.send("DELETE", &path, Some(&basic(sample::OWNER)), "").await;
    assert_eq!(answer.status(), 204, "{answer:?}");
    println!("{:?}", lab.wire.take_calls());
    println!("{:?}", lab.item(&format!("client#{}", sample::TARGET)).await);
    let answer = lab.send("DELETE", &path, Some(&basic(sample::OWNER)), "").await;
    assert_eq!(answer.status(), 404);
    println!("{:?}", json(&answer));
}
