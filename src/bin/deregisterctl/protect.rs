//! Protects clients from deletion.

use crate::{failure::Failure, report::Report, show::with_version, tool::Tool};
use deregister::model::{Client, Id};

impl Tool {
    pub async fn set_protected(&self, id: Id, protected: bool) -> Result<Report, Failure> {
        let headline = if protected { "The client is protected from deletion." } else { "The client can be deleted." };
        match self.store.set_protected(&id, protected).await? {
            Some(Client { protected, version, .. }) => {
                Ok(with_version(Report::new(headline).with("client_id", id.as_str()), protected, version.version()))
            }
            None => Err(Failure::NoLiveClient(id)),
        }
    }
}
