//! A model behind an OpenAI-compatible `chat/completions` endpoint (llama.cpp, vLLM, Ollama, vendors).
//!
//! The schema is sent as `response_format`. A server that rejects it (HTTP 400 or 422) is asked again with the schema in OpenAI's strict
//! form, then with `json_object`, then without, and the schema goes into the prompt; what worked is remembered. Servers
//! silently ignore fields they do not know: [`OpenAi::probe`] finds out which of them bind the model, and callers validate
//! every answer in any case. Fields that it refuses are left out from then on, and thoughts get room where they leave none for
//! the answer (`dialect`).

mod answer;
mod dialect;
mod format;
mod probe;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use serde_json::json;

use crate::thinking::estimate_tokens;
use crate::{Completion, LlmError, Request, TextModel};
use answer::{Answer, Usage};
use dialect::Dialect;
pub use format::AnswerFormat;
pub use probe::Bound;

/// Answers above this size are not read.
const MAX_ANSWER: u64 = 1 << 20;
/// After the first try.
const MAX_RETRIES: u32 = 2;
/// However long a server asks to wait.
const MAX_WAIT: Duration = Duration::from_secs(30);

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
    dialect: Dialect,
    /// What a probe found.
    probed: Option<Bound>,
    /// Tokens of requests that came to nothing.
    wasted: Usage,
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
            dialect: Dialect::default(),
            probed: None,
            wasted: Usage::default(),
        })
    }

    /// How the server was last asked successfully to keep to a schema; `None` before that.
    pub fn answer_format(&self) -> Option<AnswerFormat> {
        self.format
    }

    /// One exchange, whose tokens are added to those spent. `Ok(Err(_))` is worth another try after that time, or the back-off.
    fn ask(&self, call: &Call, until: Instant, spent: &mut Usage) -> Result<Result<Answer, Busy>, LlmError> {
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
        let mut post = config.build().new_agent().post(&self.url).content_type("application/json");
        if let Some(key) = &self.key {
            post = post.header("Authorization", format!("Bearer {key}"));
        }
        let response = post.send(call.body.as_str()).map_err(|e| self.fault(e, until))?;
        let status = response.status().as_u16();
        let wait = response.headers().get("retry-after").and_then(|v| v.to_str().ok()?.trim().parse().ok());
        let bytes = response.into_body().into_with_config().limit(MAX_ANSWER).read_to_vec();
        let bytes = bytes.map_err(|e| self.fault(e, until))?;
        let key = self.key.as_deref();
        let reported = if (200..300).contains(&status) { answer::reported(&bytes) } else { Some(status) };
        if let Some(status) = reported {
            *spent += answer::charged(&bytes, call.prompt_tokens);
            let snippet = answer::complaint(&bytes, key);
            let error = LlmError::Http { url: self.url.clone(), status, snippet };
            let busy = matches!(status, 408 | 425 | 429 | 500..);
            let wait = wait.map(Duration::from_secs);
            return if busy { Ok(Err(Busy { error, wait })) } else { Err(error) };
        }
        let answer = answer::read(&bytes, key, call.prompt_tokens)
            .inspect_err(|_| *spent += answer::charged(&bytes, call.prompt_tokens))?;
        *spent += answer.usage;
        if answer.text.is_empty() && answer.finish == crate::Finish::Stop {
            let snippet = answer::snippet(&bytes, key);
            let error = LlmError::BadAnswer { why: "it is blank".into(), snippet };
            return Ok(Err(Busy { error, wait: None }));
        }
        Ok(Ok(answer))
    }

    /// As [`OpenAi::ask`], again where that may help.
    fn ask_patiently(&self, call: &Call, until: Instant, spent: &mut Usage) -> Result<Answer, LlmError> {
        let mut back_off = self.timeouts.back_off;
        let mut retries = 0;
        loop {
            let busy = match self.ask(call, until, spent)? {
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

    /// Asks in one way, in a dialect that follows what the server says to it.
    fn ask_in(
        &self,
        dialect: &mut Dialect,
        format: AnswerFormat,
        request: &Request,
        until: Instant,
        spent: &mut Usage,
    ) -> Result<Answer, LlmError> {
        loop {
            match self.ask_patiently(&self.call(request, format, dialect), until, spent) {
                Err(LlmError::Http { status: 400 | 422, ref snippet, .. }) if dialect.learn(snippet) => {
                    tracing::info!(host = self.host, snippet, "asking without what was refused");
                }
                Ok(ref answer) if dialect.make_room(answer) => {
                    tracing::info!(host = self.host, "asking with room for more thoughts");
                }
                outcome => return outcome,
            }
        }
    }

    /// Asks in one way after the other until the server takes one. Where it takes none, what it said of the first is told.
    fn ask_in_turn(
        &mut self,
        request: &Request,
        until: Instant,
        spent: &mut Usage,
    ) -> Result<(Answer, AnswerFormat), LlmError> {
        let ways = match request.schema {
            Some(_) => AnswerFormat::ways(self.format),
            None => vec![AnswerFormat::Plain],
        };
        let (mut refused, mut dialect) = (None, self.dialect.clone());
        for format in ways {
            match self.ask_in(&mut dialect, format, request, until, spent) {
                Err(error @ LlmError::Http { status: 400 | 422, .. }) => refused = refused.or(Some(error)),
                outcome => {
                    let answer = outcome?;
                    self.dialect = dialect;
                    return Ok((answer, format));
                }
            }
        }
        Err(refused.unwrap_or_else(|| LlmError::BadRequest { why: "no answer format".into() }))
    }

    /// Remembers in which way an answer under a schema was had: where a probe had found another one, the model may be bound no more.
    fn remember(&mut self, format: AnswerFormat) {
        if self.format.is_some_and(|known| known != format) {
            tracing::warn!(host = self.host, now = ?format, "the server no longer takes the schema as it did");
        }
        self.format = Some(format);
        self.probed = self.probed.map(|bound| bound.fallen_to(format));
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

    fn call(&self, request: &Request, format: AnswerFormat, dialect: &Dialect) -> Call {
        let mut system = request.system.clone();
        if let Some(schema) = &request.schema
            && format.in_prompt()
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
            "stream": false,
        });
        dialect.fill(request, &mut body);
        if let Some(schema) = &request.schema {
            format.ask_for(schema, &mut body);
        }
        let prompt_tokens = estimate_tokens(&system) + estimate_tokens(&request.user);
        Call { body: body.to_string(), prompt_tokens }
    }
}

/// A request as it goes out.
struct Call {
    body: String,
    /// About as many as its messages have, for a server that does not tell.
    prompt_tokens: usize,
}

/// A failure that may pass.
struct Busy {
    error: LlmError,
    wait: Option<Duration>,
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

    fn wasted(&mut self) -> (usize, usize) {
        let Usage { prompt, completion, thinking } = std::mem::take(&mut self.wasted);
        (prompt, completion.max(thinking))
    }

    /// # Errors
    /// [`LlmError::Timeout`] at the deadline, [`LlmError::Connect`], [`LlmError::Http`] once retries are used up,
    /// [`LlmError::BadAnswer`], [`LlmError::Refused`].
    fn generate(&mut self, request: &Request) -> Result<Completion, LlmError> {
        request.check()?;
        let start = Instant::now();
        let mut spent = Usage::default();
        let asked = self.ask_in_turn(request, request.until(start), &mut spent);
        let (answer, format) = asked.inspect_err(|_| self.wasted += spent).map_err(|error| match error {
            LlmError::Timeout { at, .. } => LlmError::Timeout { after: request.deadline, at },
            other => other,
        })?;
        let mut text = answer.text;
        if request.schema.is_some() {
            self.remember(format);
            text = format.restored(answer::unfenced(&text));
        }
        Ok(Completion {
            text,
            prompt_tokens: spent.prompt,
            completion_tokens: spent.completion,
            thinking_tokens: spent.thinking,
            seconds: start.elapsed().as_secs_f64(),
            finish: answer.finish,
        })
    }
}
