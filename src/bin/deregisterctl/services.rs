//! Services: authorization servers whose clients the Authlete API deletes.

use crate::{
    failure::Failure, options, options::NewService, path_warning, report::Report, show::show_service, tool::Tool,
};
use deregister::{
    dynamodb::admin::{Creation, ServiceChange},
    model::{Id, Service},
};

impl Tool {
    pub async fn create_service(&self, new: NewService) -> Result<Report, Failure> {
        let service = Service {
            organization_id: new.organization,
            dynamic_registration: !new.no_dynamic_registration,
            unauthorized_on_client_config: new.unauthorized_on_client_config,
            error_description_omitted: new.omit_error_description,
            error_uri_omitted: new.omit_error_uri,
        };
        if self.store.create_service(&new.id, &service).await? == Creation::Taken {
            return Err(Failure::ServiceTaken(new.id));
        }
        path_warning::of_service(&new.id);
        Ok(show_service(Report::new("Created a service."), &new.id, service))
    }

    pub async fn show_service(&self, id: &Id) -> Result<Report, Failure> {
        Ok(show_service(Report::new("A service."), id, self.service(id).await?))
    }

    pub async fn update_service(&self, update: options::ServiceChange) -> Result<Report, Failure> {
        // An item that cannot be read is not changed.
        self.service(&update.id).await?;
        let change = ServiceChange {
            organization_id: if update.no_organization { Some(None) } else { update.organization.map(Some) },
            dynamic_registration: update.dynamic_registration,
            unauthorized_on_client_config: update.unauthorized_on_client_config,
            error_description_omitted: update.omit_error_description,
            error_uri_omitted: update.omit_error_uri,
        };
        match self.store.update_service(&update.id, &change).await? {
            Some(service) => Ok(show_service(Report::new("Changed the service."), &update.id, service)),
            None => Err(Failure::NoService(update.id)),
        }
    }
}
