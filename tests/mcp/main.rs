//! MCP servers: requirements for single tools, resources and prompts, through the layer.

#[path = "../support/mod.rs"]
mod support;

mod bodies;
mod disagree;
#[path = "../../examples/mcp/notes.rs"]
mod notes;
mod operations;
mod real;
mod server;
