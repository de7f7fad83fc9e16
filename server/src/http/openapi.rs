//! The OpenAPI document: made from the route table, and checked in as `server/openapi.json`. A test holds the two
//! together.

use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder};

/// What the document says besides the routes.
pub fn frame() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Cairn")
        .version("1")
        .description(Some(
            "The API of a Cairn cloud. Resources are named by id or name. Long work is answered with a task. A POST with \
             the header `Idempotency-Key` may be sent again and is answered as the first was.",
        ))
        .build();
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    OpenApiBuilder::new()
        .info(info)
        .components(Some(ComponentsBuilder::new().security_scheme("bearer", bearer).build()))
        .security(Some([SecurityRequirement::new("bearer", [""; 0])]))
        .build()
}

/// The document as JSON text.
///
/// # Errors
/// The library's, which does not happen with a table that a test has seen.
pub fn text() -> Result<String, serde_json::Error> {
    Ok(super::api().into_openapi().to_pretty_json()? + "\n")
}

/// `GET /api/v1/openapi.json`.
pub async fn show() -> impl IntoResponse {
    let text = include_str!("../../openapi.json");
    ([(header::CONTENT_TYPE, "application/json")], text)
}
