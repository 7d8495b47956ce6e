"""The official Authlete SDK for Python (version 3 of the API) against the local run."""

import pytest
from authlete.api import AuthleteApiException, AuthleteApiImpl
from authlete.conf import AuthleteConfiguration
from authlete.dto import ClientRegistrationAction, ClientRegistrationRequest

# The samples of examples/local/sample.rs.
SERVICE, FOREIGN_SERVICE = "715948317", "826059428"
SERVICE_TOKEN, ORGANIZATION_TOKEN = "sat_3kQ7vN9wZ2xR5tY8uB4mC6pD1sF0gHjL", "org_8hJ2kL5nM9pQ3rS6tV0wX4yZ7aB1cD2e"
CLIENT, REGISTRATION_TOKEN = "1140735077", "rat_T5yU8iO2pA6sD9fG3hJ7kL1zX4cV0bNm"


def delete(base_url, *, service=SERVICE, access_token=SERVICE_TOKEN, token=REGISTRATION_TOKEN):
    configuration = AuthleteConfiguration(
        {"apiVersion": "V3", "baseUrl": base_url, "serviceApiKey": service, "serviceAccessToken": access_token}
    )
    request = ClientRegistrationRequest({"clientId": CLIENT, "token": token})
    response = AuthleteApiImpl(configuration).dynamicClientDelete(request)
    print(response)
    return response


@pytest.mark.parametrize("access_token", [SERVICE_TOKEN, ORGANIZATION_TOKEN])
def test_the_right_token_deletes_the_client(local, access_token):
    response = delete(local, access_token=access_token)
    assert response.action is ClientRegistrationAction.DELETED
    assert response.resultCode == "A216001"
    assert response.client.clientId == int(CLIENT)
    assert response.client.clientName == "My Test Client"
    assert response.client.clientSecret is None
    again = delete(local, access_token=access_token)
    assert (again.action, again.resultCode) == (ClientRegistrationAction.BAD_REQUEST, "A215302")


def test_a_wrong_token_is_a_bad_request(local):
    response = delete(local, token="not-the-token")
    assert (response.action, response.resultCode) == (ClientRegistrationAction.BAD_REQUEST, "A215307")


def test_a_missing_token_is_a_bad_request(local):
    response = delete(local, token=None)
    assert (response.action, response.resultCode) == (ClientRegistrationAction.BAD_REQUEST, "A215305")


def test_a_foreign_service_is_forbidden(local):
    with pytest.raises(AuthleteApiException) as refused:
        delete(local, service=FOREIGN_SERVICE)
    print(refused.value.message)
    assert refused.value.response.status_code == 403


def test_a_bad_bearer_token_is_unauthorized(local):
    with pytest.raises(AuthleteApiException) as refused:
        delete(local, access_token="not-an-access-token")
    print(refused.value.message)
    assert refused.value.response.status_code == 401
    assert refused.value.message.startswith("[A001203] /client/registration/delete, ")
