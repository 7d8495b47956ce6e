//! The clients table's stream, as Lambda's event-source mapping reads it.

use super::Fixture;
use aws_sdk_dynamodb::types::{StreamSpecification, StreamViewType};
use http_body_util::BodyExt;
use hyper_util::{client::legacy, rt::TokioExecutor};
use lambda_http::http;
use serde_json::{Value, json};

/// The clients table's stream, from here on, as the embedded database has it.
pub struct Stream {
    endpoint: String,
    position: Value,
}

impl Stream {
    /// Switches the stream on.
    pub async fn of(fixture: &Fixture) -> Self {
        let view = StreamViewType::NewAndOldImages;
        let on = StreamSpecification::builder().stream_enabled(true).stream_view_type(view).build().unwrap();
        let update = fixture.sdk.update_table().table_name(&fixture.table).stream_specification(on);
        let arn = update.send().await.unwrap().table_description.unwrap().latest_stream_arn.unwrap();
        let mut stream = Self { endpoint: fixture.endpoint.clone(), position: Value::Null };
        let described = stream.ask("DescribeStream", &json!({ "StreamArn": arn })).await;
        let shard = &described["StreamDescription"]["Shards"][0]["ShardId"];
        let beginning = json!({ "StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON" });
        stream.position = stream.ask("GetShardIterator", &beginning).await["ShardIterator"].take();
        stream
    }

    /// The records since the last call, as Lambda delivers them.
    pub async fn records(&mut self) -> Vec<Value> {
        let mut page = self.ask("GetRecords", &json!({ "ShardIterator": self.position })).await;
        self.position = page["NextShardIterator"].take();
        let mut records: Vec<Value> = serde_json::from_value(page["Records"].take()).unwrap();
        for record in &mut records {
            record["eventSourceARN"] = json!("arn:aws:dynamodb:eu-central-1:123456789012:table/clients/stream/1");
        }
        records
    }

    /// The only record since the last call.
    pub async fn record(&mut self) -> Value {
        let [record] = self.records().await.try_into().unwrap();
        record
    }

    /// Sends a request like the SDK for streams.
    async fn ask(&self, operation: &str, body: &Value) -> Value {
        let request = http::Request::post(&self.endpoint)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("DynamoDBStreams_20120810.{operation}"))
            .header("x-amz-date", "20270115T080000Z")
            .header("authorization", "AWS4-HMAC-SHA256 Credential=test, SignedHeaders=host, Signature=test")
            .body(body.to_string());
        let client = legacy::Client::builder(TokioExecutor::new()).build_http();
        let answer = client.request(request.unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200, "{operation}");
        serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
    }
}
