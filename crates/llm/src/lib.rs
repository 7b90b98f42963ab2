//! Text models that write under a JSON schema: embedded GGUF and OpenAI-compatible endpoints.
