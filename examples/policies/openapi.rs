//! The OpenAPI document, from the same requirements that the server checks.

use tower_resource_server::ResourceServer;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, Paths, PathsBuilder,
};
use utoipa::openapi::security::{SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, Info, ObjectBuilder, OpenApi, OpenApiBuilder, PathItem, Required, Response, Type,
};

use crate::Row;

/// The name of the security scheme in the document.
const SCHEME: &str = "login";

/// The document. It does not contain roles, claims and logins, because OpenAPI has no place for
/// them. So if a role alone is enough for a route, the route has an entry without a scope.
pub fn document(api: &ResourceServer, table: &[Row]) -> Result<OpenApi, serde_json::Error> {
    // The scheme serializes as OpenAPI requires, so utoipa can read it.
    let scheme: SecurityScheme = convert(api.openapi_scheme())?;
    let mut components = Components::new();
    components.add_security_scheme(SCHEME, scheme);
    Ok(OpenApiBuilder::new()
        .info(Info::new("Notes", "1.0"))
        .components(Some(components))
        .paths(paths(table)?)
        .build())
}

fn paths(table: &[Row]) -> Result<Paths, serde_json::Error> {
    let mut paths = PathsBuilder::new();
    for (method, path, requirement) in table {
        let security: Vec<SecurityRequirement> = convert(requirement.openapi_security(SCHEME))?;
        let mut operation =
            OperationBuilder::new().securities(Some(security)).response("200", Response::new("OK"));
        // axum and OpenAPI use the same syntax for path parameters.
        for name in
            path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        {
            let parameter = ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
            operation = operation.parameter(parameter);
        }
        let method: HttpMethod = convert(method.as_str().to_lowercase())?;
        paths = paths.path(*path, PathItem::new(method, operation));
    }
    Ok(paths.build())
}

fn convert<T: serde::de::DeserializeOwned>(
    value: impl serde::Serialize,
) -> Result<T, serde_json::Error> {
    serde_json::from_value(serde_json::to_value(value)?)
}
