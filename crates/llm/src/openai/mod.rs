//! A model behind an OpenAI-compatible `chat/completions` endpoint (llama.cpp, vLLM, Ollama, vendors).
//!
//! The schema is sent as `response_format`. A server that rejects it (HTTP 400 or 422) is asked again with
//! `json_object`, then without, and the schema goes into the prompt; what worked is remembered. Servers
//! silently ignore fields they do not know: [`OpenAi::probe`] finds out which of them bind the model, and callers validate
//! every answer in any case.

mod answer;
mod probe;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Completion, LlmError, Request, TextModel};
use answer::Answer;
pub use probe::Bound;

/// Answers above this size are not read.
const MAX_ANSWER: u64 = 1 << 20;
/// After the first try.
const MAX_RETRIES: u32 = 2;
/// However long a server asks to wait.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// How a server is asked to keep to the schema, from strict to not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerFormat {
    /// `response_format: json_schema`, strict.
    JsonSchema,
    /// The fields that servers had before they knew that one: llama.cpp's `json_schema`, vLLM's `structured_outputs` and
    /// `guided_json`, Ollama's `format`.
    ServersOwn,
    /// `response_format: json_object`; the schema stands in the prompt.
    JsonObject,
    /// No `response_format`; the schema stands in the prompt.
    Plain,
}

/// Times that do not depend on the request; [`Request::deadline`] bounds the whole.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// Until a connection stands.
    pub connect: Duration,
    /// Before the first retry, doubled for the next, when the server does not say how long to wait.
    pub back_off: Duration,
}

impl Default for Timeouts {
    /// 10 s to connect, 1 s before the first retry.
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), back_off: Duration::from_secs(1) }
    }
}

/// A client for one model at one endpoint.
pub struct OpenAi {
    url: String,
    host: String,
    model: String,
    key: Option<String>,
    timeouts: Timeouts,
    format: Option<AnswerFormat>,
    /// What a probe found.
    probed: Option<Bound>,
}

impl std::fmt::Debug for OpenAi {
    /// Leaves the key out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenAi").field("url", &self.url).field("model", &self.model).finish_non_exhaustive()
    }
}

impl OpenAi {
    /// A client for `{base_url}/chat/completions`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`LlmError::BadEndpoint`] for a URL that is not http(s), holds a user name, or a key that no header can hold.
    pub fn connect(
        base_url: &str,
        model: &str,
        api_key: Option<String>,
        timeouts: Timeouts,
    ) -> Result<Self, LlmError> {
        let base = base_url.trim().trim_end_matches('/');
        let base = base.strip_suffix("/chat/completions").unwrap_or(base);
        let bad = |why: &str| LlmError::BadEndpoint { url: base_url.to_owned(), why: why.into() };
        let rest = base.strip_prefix("https://").or_else(|| base.strip_prefix("http://"));
        let rest = rest.ok_or_else(|| bad("it must begin with http:// or https://"))?;
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if host.contains('@') {
            // The URL itself is kept out of the message: it may hold a password.
            let url = "http(s)://…@…".into();
            return Err(LlmError::BadEndpoint { url, why: "leave the user name out of the URL".into() });
        }
        if host.is_empty() || rest.contains(|c: char| c.is_whitespace() || c.is_control() || "?#".contains(c))
        {
            return Err(bad("it must be a host and a path, such as http://127.0.0.1:8080/v1"));
        }
        let key = api_key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
        if key.as_deref().is_some_and(|key| !key.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(bad("the API key holds characters that no header can hold"));
        }
        if key.is_some() && base.starts_with("http://") && !is_this_machine(host) {
            tracing::warn!(host, "the API key goes over an unencrypted connection");
        }
        Ok(Self {
            url: format!("{base}/chat/completions"),
            host: host.to_owned(),
            model: model.to_owned(),
            key,
            timeouts,
            format: None,
            probed: None,
        })
    }

    /// How the server was last asked successfully to keep to a schema; `None` before that.
    pub fn answer_format(&self) -> Option<AnswerFormat> {
        self.format
    }

    /// One exchange. `Ok(Err(_))` is worth another try after that time, or the back-off.
    fn ask(&self, body: &str, until: Instant) -> Result<Result<Answer, Busy>, LlmError> {
        let left = until.saturating_duration_since(Instant::now());
        let mut config = ureq::Agent::config_builder()
            .timeout_global(Some(left))
            .timeout_connect(Some(self.timeouts.connect.min(left)))
            .http_status_as_error(false)
            // A redirect would carry the prompt and the key to where nobody asked them to go.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("capwright/", env!("CARGO_PKG_VERSION")));
        if is_this_machine(&self.host) {
            config = config.proxy(None);
        }
        let mut call = config.build().new_agent().post(&self.url).content_type("application/json");
        if let Some(key) = &self.key {
            call = call.header("Authorization", format!("Bearer {key}"));
        }
        let response = call.send(body).map_err(|e| self.fault(e, until))?;
        let status = response.status().as_u16();
        let wait = response.headers().get("retry-after").and_then(|v| v.to_str().ok()?.trim().parse().ok());
        let bytes = response.into_body().into_with_config().limit(MAX_ANSWER).read_to_vec();
        let bytes = bytes.map_err(|e| self.fault(e, until))?;
        let key = self.key.as_deref();
        if !(200..300).contains(&status) {
            let snippet = answer::complaint(&bytes, key);
            let error = LlmError::Http { url: self.url.clone(), status, snippet };
            let busy = status == 429 || status >= 500;
            let wait = wait.map(Duration::from_secs);
            return if busy { Ok(Err(Busy { error, wait })) } else { Err(error) };
        }
        let answer = answer::read(&bytes, key)?;
        if answer.text.is_empty() && answer.finish == crate::Finish::Stop {
            let snippet = answer::snippet(&bytes, key);
            let error = LlmError::BadAnswer { why: "it is blank".into(), snippet };
            return Ok(Err(Busy { error, wait: None }));
        }
        Ok(Ok(answer))
    }

    fn ask_patiently(&self, body: &str, until: Instant) -> Result<Answer, LlmError> {
        let mut back_off = self.timeouts.back_off;
        let mut retries = 0;
        loop {
            let busy = match self.ask(body, until)? {
                Ok(answer) => return Ok(answer),
                Err(busy) => busy,
            };
            let wait = busy.wait.unwrap_or(back_off).min(MAX_WAIT);
            if retries == MAX_RETRIES || Instant::now() + wait >= until {
                return Err(busy.error);
            }
            tracing::info!(host = self.host, error = %busy.error, ?wait, "asking again");
            std::thread::sleep(wait);
            back_off *= 2;
            retries += 1;
        }
    }

    fn fault(&self, error: ureq::Error, until: Instant) -> LlmError {
        let timed_out = match &error {
            ureq::Error::Timeout(ureq::Timeout::Connect) => false,
            ureq::Error::Timeout(_) => true,
            ureq::Error::Io(e) => e.kind() == std::io::ErrorKind::TimedOut,
            _ => false,
        };
        if timed_out || Instant::now() >= until {
            // The caller knows the deadline, and puts it in.
            return LlmError::Timeout { after: Duration::ZERO, at: format!("waiting for {}", self.host) };
        }
        match error {
            ureq::Error::BodyExceedsLimit(_) => LlmError::BadAnswer {
                why: format!("it is larger than {MAX_ANSWER} bytes"),
                snippet: "(not kept)".into(),
            },
            other => LlmError::Connect { url: self.url.clone(), why: other.to_string() },
        }
    }

    fn body(&self, request: &Request, format: AnswerFormat) -> String {
        let mut system = request.system.clone();
        if let Some(schema) = &request.schema
            && matches!(format, AnswerFormat::JsonObject | AnswerFormat::Plain)
        {
            let rule = "Answer with one compact JSON value that follows this JSON schema, and nothing else:";
            system = format!("{system}\n\n{rule}\n{schema}").trim_start().to_owned();
        }
        let mut messages = vec![json!({ "role": "user", "content": request.user })];
        if !system.is_empty() {
            messages.insert(0, json!({ "role": "system", "content": system }));
        }
        let mut body = json!({
            "model": self.model,
            "messages": messages,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.seed,
            "stream": false,
        });
        if let Some(form) = response_format(request.schema.as_ref(), format) {
            body["response_format"] = form;
        }
        if let (Some(schema), AnswerFormat::ServersOwn) = (&request.schema, format) {
            for field in ["json_schema", "guided_json", "format"] {
                body[field] = schema.clone();
            }
            body["structured_outputs"] = json!({ "json": schema });
        }
        body.to_string()
    }
}

/// A failure that may pass.
struct Busy {
    error: LlmError,
    wait: Option<Duration>,
}

fn response_format(schema: Option<&Value>, format: AnswerFormat) -> Option<Value> {
    let schema = schema?;
    match format {
        AnswerFormat::JsonSchema => Some(json!({
            "type": "json_schema",
            "json_schema": { "name": "answer", "strict": true, "schema": schema },
        })),
        AnswerFormat::JsonObject => Some(json!({ "type": "json_object" })),
        AnswerFormat::ServersOwn | AnswerFormat::Plain => None,
    }
}

fn is_this_machine(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}

impl TextModel for OpenAi {
    fn name(&self) -> String {
        format!("{} at {}", self.model, self.host)
    }

    fn bound(&self) -> Option<String> {
        self.probed.map(|bound| bound.to_string())
    }

    /// # Errors
    /// [`LlmError::Timeout`] at the deadline, [`LlmError::Connect`], [`LlmError::Http`] once retries are used up,
    /// [`LlmError::BadAnswer`], [`LlmError::Refused`].
    fn generate(&mut self, request: &Request) -> Result<Completion, LlmError> {
        request.check()?;
        let start = Instant::now();
        let until = start.checked_add(request.deadline).unwrap_or(start + Duration::from_secs(86_400));
        let formats = match (&request.schema, self.format) {
            (None, _) => vec![AnswerFormat::Plain],
            // It worked before, so a rejection is about something else.
            (Some(_), Some(known)) => vec![known],
            (Some(_), None) => vec![AnswerFormat::JsonSchema, AnswerFormat::JsonObject, AnswerFormat::Plain],
        };
        let mut outcome = Err(LlmError::BadRequest { why: "no answer format".into() });
        for format in formats {
            outcome = self.ask_patiently(&self.body(request, format), until);
            if matches!(&outcome, Err(LlmError::Http { status: 400 | 422, .. })) {
                continue;
            }
            if outcome.is_ok() && request.schema.is_some() {
                self.format = Some(format);
            }
            break;
        }
        let answer = outcome.map_err(|error| match error {
            LlmError::Timeout { at, .. } => LlmError::Timeout { after: request.deadline, at },
            other => other,
        })?;
        let text = if request.schema.is_some() { answer::unfenced(&answer.text) } else { &answer.text };
        Ok(Completion {
            text: text.to_owned(),
            prompt_tokens: answer.prompt_tokens,
            completion_tokens: answer.completion_tokens,
            thinking_tokens: answer.thinking_tokens,
            seconds: start.elapsed().as_secs_f64(),
            finish: answer.finish,
        })
    }
}
