//! The MCP server: rmcp's handler, and its requirements. The handler finds the caller in the token that the layer puts
//! into the extensions of the HTTP request.

use http::request::Parts;
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData,
    GetPromptRequestParams, GetPromptResponse, GetPromptResult, JsonObject, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    Prompt, PromptMessage, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult,
    Resource, ResourceContents, ResourceTemplate, Role, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Value, json};
use tower_resource_server::policy::{McpCall, McpPolicy, Policy, Requirement, authenticated};
use tower_resource_server::{AccessToken, Claims, ConfigError, scope};

/// The requirements of the server.
pub fn policy() -> McpPolicy {
    McpPolicy::new()
        .require(scope("notes"))
        .tool("whoami", authenticated())
        .tool("list_notes", authenticated())
        .tool("delete_note", scope("notes:delete"))
        // This tool checks the scope itself: see `archive`.
        .tool("archive_note", authenticated())
        .resource("config://app", scope("notes:admin"))
        .resource_with("note://{id}", |call: &McpCall, _: &AccessToken<Claims>| {
            let id =
                call.variable("id").ok_or_else(|| ConfigError::new("the call names no note"))?;
            Ok(Policy::try_scope(&format!("notes:read:{id}"))?.into())
        })
        .prompt("summary", scope("notes:summary"))
}

#[derive(Clone)]
pub struct Notes;

/// The head of the HTTP request that the message came in.
fn head(context: &RequestContext<RoleServer>) -> Result<&Parts, ErrorData> {
    let head = context.extensions.get();
    head.ok_or_else(|| ErrorData::internal_error("the server is not behind HTTP", None))
}

/// The caller's token. It is `None` only if no layer, or an optional layer, is around this server.
fn token(head: &Parts) -> Option<AccessToken> {
    AccessToken::from_extensions(&head.extensions)
}

fn needed_to_archive(id: &str) -> Result<Requirement, ConfigError> {
    let own = Policy::try_scope(&format!("notes:archive:{id}"))?;
    Ok(Policy::try_all_of([scope("notes"), own])?.into())
}

/// Whether a note is archived depends on data that only this tool has. So the tool itself requires the scope. Its
/// refusal becomes the response: 403 with the complete challenge.
fn archive(context: &RequestContext<RoleServer>, id: &str) -> Result<String, ErrorData> {
    let head = head(context)?;
    let token = token(head).ok_or_else(|| ErrorData::invalid_request("no token", None))?;
    let needed = needed_to_archive(id)
        .map_err(|_| ErrorData::invalid_params("the id cannot be in a scope", None))?;
    if let Err(refusal) = token.require(&needed) {
        refusal.respond_instead(&head.extensions);
        return Err(ErrorData::invalid_request("the token does not suffice", None));
    }
    Ok(format!("note {id} is archived"))
}

fn tools() -> Vec<Tool> {
    let tool = |name: &'static str, text: &'static str, properties: Value| {
        let schema = [("type", json!("object")), ("properties", properties)];
        let schema = schema.into_iter().map(|(name, value)| (name.to_owned(), value));
        Tool::new(name, text, schema.collect::<JsonObject>())
    };
    let id = json!({ "id": { "type": "string" } });
    // The client repeats this argument in the header `Mcp-Param-Folder`.
    let folder = json!({ "folder": { "type": "string", "x-mcp-header": "Folder" } });
    vec![
        tool("whoami", "Returns who calls", json!({})),
        tool("list_notes", "Lists the notes of a folder", folder),
        tool("delete_note", "Deletes a note", id.clone()),
        tool("archive_note", "Archives a note", id),
    ]
}

impl ServerHandler for Notes {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder();
        ServerConfig::new(capabilities.enable_tools().enable_resources().enable_prompts().build())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let token = token(head(&context)?);
        let arguments = request.arguments.unwrap_or_default();
        let id = arguments.get("id").and_then(|id| id.as_str()).unwrap_or("1");
        let text = match &*request.name {
            "whoami" => {
                let caller = token.as_ref().and_then(|token| token.subject().or(token.client_id()));
                caller.unwrap_or("nobody").to_owned()
            }
            "list_notes" => "buy milk".to_owned(),
            "delete_note" => format!("note {id} is deleted"),
            "archive_note" => archive(&context, id)?,
            _ => return Err(ErrorData::invalid_params("no such tool", None)),
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools()))
    }

    /// rmcp compares the headers `Mcp-Param-..` with the arguments of this tool.
    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools().into_iter().find(|tool| tool.name == name)
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(vec![Resource::new(
            "config://app",
            "configuration",
        )]))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let templates = vec![ResourceTemplate::new("note://{id}", "note")];
        Ok(ListResourceTemplatesResult::with_all_items(templates))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let text = format!("the text of {}", request.uri);
        Ok(ReadResourceResult::new(vec![ResourceContents::text(text, request.uri)]).into())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let prompt = Prompt::new("summary", Some("Sums up all notes"), None);
        Ok(ListPromptsResult::with_all_items(vec![prompt]))
    }

    async fn get_prompt(
        &self,
        _: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let message = PromptMessage::new_text(Role::User, "Sum up my notes.");
        Ok(GetPromptResult::new(vec![message]).into())
    }
}
