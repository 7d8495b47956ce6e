"""The credentials of schemathesis' requests: those of samples and malformed ones, in turn."""

from itertools import cycle

import schemathesis

CREDENTIALS = {
    "deleteApiClient": [
        "Basic c2dueXZ1czZwYzRqbTdraHIybmVxNWdzODlnYnIyZXE6d3Q0YzN1bjl3a2tjZnZ5a25xeDQ0eW5jNDc2YWZzNjg",
        "Basic NGdrOXMybXloOHhxN3Z6dDNibmM2d3JmYTVqZHVwZTI6cTV3OGUycjl0NHk3dTNwYTZzZDhmZzJoajVreng5Y3Y",
        "Basic !",
    ],
    "deleteRegistration": [
        "Bearer reg-23410913-abewfq.123483",
        "Bearer rat_V9bN2mQ5wE8rT1yU4iO7pA0sD3fG6hJk",
        "Bearer two words",
    ],
    "deleteRegisteredClient": [
        "Bearer org_8hJ2kL5nM9pQ3rS6tV0wX4yZ7aB1cD2e",
        "Bearer sat_3kQ7vN9wZ2xR5tY8uB4mC6pD1sF0gHjL",
        "Bearer two words",
    ],
}
TURNS = {operation: cycle(credentials) for operation, credentials in CREDENTIALS.items()}


@schemathesis.auth(refresh_interval=None)
class Samples:
    def get(self, case, context):
        return next(TURNS[context.operation.definition.raw["operationId"]])

    def set(self, case, data, context):
        case.headers["Authorization"] = data
