//! The clients table's stream, as Lambda's event-source mapping reads it.

use super::{Fixture, database::ask};
use aws_sdk_dynamodb::types::{StreamSpecification, StreamViewType};
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
        let (status, answer) = ask(&self.endpoint, &format!("DynamoDBStreams_20120810.{operation}"), body).await;
        assert_eq!(status, 200, "{operation}");
        answer
    }
}
