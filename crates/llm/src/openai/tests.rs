//! Against servers that misbehave: each accepts the connections it is told to and answers as scripted.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

use serde_json::Value;

use super::*;
use crate::Finish;

mod fields;

/// What a server does with one connection.
enum Act {
    /// Status line and headers after it, then a body with its length.
    Say(&'static str, String),
    /// Exactly these bytes.
    Raw(Vec<u8>),
    /// Nothing, for as long as the client stays.
    Hang,
}

struct Server {
    url: String,
    /// Head and body of each request.
    seen: Receiver<(String, Value)>,
}

impl Server {
    fn new(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (sender, seen) = channel();
        let acts: Vec<Act> = acts.into_iter().collect();
        std::thread::spawn(move || {
            for act in acts {
                let (stream, _) = listener.accept().unwrap();
                perform(stream, act, &sender);
            }
        });
        Self { url, seen }
    }

    fn client(&self) -> OpenAi {
        let timeouts = Timeouts { back_off: Duration::from_millis(5), ..Timeouts::default() };
        OpenAi::connect(&self.url, "a-model", Some("sk-secret".into()), timeouts).unwrap()
    }
}

fn perform(mut stream: TcpStream, act: Act, seen: &Sender<(String, Value)>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut line) = (String::new(), String::new());
    while reader.read_line(&mut line).unwrap() > 2 {
        head.push_str(&line.to_lowercase());
        line.clear();
    }
    let length = head.lines().find_map(|l| l.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().trim().parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let _ = seen.send((head, serde_json::from_slice(&body).unwrap()));
    // The client may be gone by now, when it is the one that gave up.
    match act {
        Act::Say(status, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        }
        Act::Raw(bytes) => {
            let _ = stream.write_all(&bytes);
        }
        Act::Hang => {
            let _ = reader.read(&mut [0]);
        }
    }
}

fn good(content: &str) -> Act {
    let body = json!({
        "choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3},
    });
    Act::Say("200 OK", body.to_string())
}

/// A complaint about a request.
fn no(what: &str) -> Act {
    Act::Say("400 Bad Request", json!({"error": {"message": what}}).to_string())
}

fn request() -> Request {
    Request {
        schema: Some(json!({"type": "object"})),
        deadline: Duration::from_secs(20),
        ..Request::new("be brief", "write a design")
    }
}

#[test]
fn sends_schema_and_key_and_reads_the_answer() {
    let server = Server::new([good("<think>well</think>{\"a\":1}")]);
    let mut client = server.client();
    assert_eq!(client.answer_format(), None);
    let done = client.generate(&request()).unwrap();
    assert_eq!((done.text.as_str(), done.finish), ("{\"a\":1}", Finish::Stop));
    assert_eq!((done.prompt_tokens, done.completion_tokens, done.thinking_tokens), (5, 3, 1));
    assert_eq!(client.answer_format(), Some(AnswerFormat::JsonSchema));
    let (head, body) = server.seen.recv().unwrap();
    assert!(head.starts_with("post /v1/chat/completions"), "{head}");
    assert!(head.contains("authorization: bearer sk-secret"), "{head}");
    assert_eq!(body["response_format"]["json_schema"]["schema"], json!({"type": "object"}));
    assert_eq!(body["response_format"]["json_schema"]["strict"], json!(true));
    assert_eq!(body["messages"][0], json!({"role": "system", "content": "be brief"}));
    assert_eq!(body["messages"][1], json!({"role": "user", "content": "write a design"}));
}

#[test]
fn falls_back_when_the_format_is_rejected_and_remembers_what_worked() {
    let refusals = ["no json_schema", "no strict one", "no json_object"].map(no);
    let server = Server::new(refusals.into_iter().chain([good("```json\n{}\n```"), good("{}")]));
    let mut client = server.client();
    assert_eq!(client.generate(&request()).unwrap().text, "{}");
    assert_eq!(client.answer_format(), Some(AnswerFormat::Plain));
    client.generate(&request()).unwrap();
    let bodies: Vec<Value> = server.seen.iter().take(5).map(|(_, body)| body).collect();
    assert_eq!(bodies[2]["response_format"], json!({"type": "json_object"}));
    for plain in &bodies[3..] {
        assert_eq!(plain.get("response_format"), None);
        let system = plain["messages"][0]["content"].as_str().unwrap();
        assert!(system.contains("{\"type\":\"object\"}"), "{system}");
    }
}

#[test]
fn a_server_that_wants_strict_schemas_gets_them_and_its_nulls_are_left_out() {
    let acts = [no("'again' is not required"), good(r#"{"word":"zq7-lantern","again":null}"#)];
    let nulls = good(r#"{"cell":"gru","layers":null,"blocks":[{"op":"eca","width":null}]}"#);
    let server = Server::new(acts.into_iter().chain([nulls, good("{ \"cell\": \"lstm\" }")]));
    let mut client = server.client();
    let found = client.probe(Duration::from_secs(20)).unwrap();
    assert_eq!((found.format, found.enforced), (AnswerFormat::StrictSchema, true));
    let fields = json!({"cell": {"enum": ["lstm", "gru"]}, "layers": {"enum": [1, 2], "default": 1}});
    let schema = json!({"type": "object", "properties": fields, "required": ["cell"]});
    let request = Request { schema: Some(schema.clone()), ..request() };
    assert_eq!(client.generate(&request).unwrap().text, r#"{"cell":"gru","blocks":[{"op":"eca"}]}"#);
    assert_eq!(client.generate(&request).unwrap().text, "{ \"cell\": \"lstm\" }");
    let bodies: Vec<Value> = server.seen.iter().take(4).map(|(_, body)| body).collect();
    let sent = |body: &Value| body["response_format"]["json_schema"]["schema"].clone();
    assert_eq!(sent(&bodies[0])["required"], json!(["word"]));
    assert_eq!(sent(&bodies[1])["required"], json!(["word", "again"]));
    assert_eq!(sent(&bodies[2]), crate::strict(&schema));
    assert_eq!(bodies[3], bodies[2]);
}

#[test]
fn a_known_way_that_is_refused_gives_way_to_looser_ones() {
    let bound = || good(r#"{"word":"zq7-lantern","again":"zq7-lantern"}"#);
    let server = Server::new([bound(), no("deep"), good("{}"), no("long"), good("{}"), good("{}")]);
    let mut client = server.client();
    client.probe(Duration::from_secs(20)).unwrap();
    for (format, said) in [
        (AnswerFormat::StrictSchema, "bound by json_schema in its strict form"),
        (AnswerFormat::JsonObject, "JSON, with the schema in the prompt"),
        (AnswerFormat::JsonObject, "JSON, with the schema in the prompt"),
    ] {
        client.generate(&request()).unwrap();
        assert_eq!((client.answer_format(), client.bound().as_deref()), (Some(format), Some(said)));
    }
    let server = Server::new([bound()].into_iter().chain(["first", "second", "third", "last"].map(no)));
    let mut client = server.client();
    client.probe(Duration::from_secs(20)).unwrap();
    let error = client.generate(&request()).unwrap_err();
    assert!(error.to_string().ends_with("answered HTTP 400: first"), "{error}");
    assert_eq!(client.bound().as_deref(), Some("bound by json_schema"), "nothing was learned");
}

#[test]
fn a_deadline_beyond_all_clocks_is_none_to_fail_at() {
    let server = Server::new([good(r#"{"word":"zq7-lantern"}"#), good("{}")]);
    let mut client = server.client();
    client.probe(Duration::MAX).unwrap();
    assert_eq!(client.generate(&Request { deadline: Duration::MAX, ..request() }).unwrap().text, "{}");
}

#[test]
fn every_answer_is_counted_blank_ones_and_untold_ones_too() {
    let server = Server::new([good(""), good("<think>well</think>"), good("{}")]);
    let done = server.client().generate(&request()).unwrap();
    assert_eq!((done.prompt_tokens, done.completion_tokens, done.thinking_tokens), (15, 9, 1));

    let body = json!({"choices": [{"message": {"content": "{\"width\":128}"}, "finish_reason": "stop"}]});
    let server = Server::new([Act::Say("200 OK", body.to_string())]);
    let done = server.client().generate(&request()).unwrap();
    // Four letters a token; the schema beside the messages is for no model to read.
    assert_eq!((done.prompt_tokens, done.completion_tokens, done.thinking_tokens), (2 + 4, 4, 0));
}

#[test]
fn a_probe_finds_what_binds_the_model() {
    let no = || no("no");
    let nulls = || good(r#"{"word":"zq7-lantern","again":null}"#);
    let (bound, fruit) = (|| good("{\"word\":\"zq7-lantern\"}"), || good("{\"fruit\": \"apple\"}"));
    let own = AnswerFormat::ServersOwn;
    for (acts, format, enforced) in [
        (vec![bound()], AnswerFormat::JsonSchema, true),
        (vec![no(), bound()], AnswerFormat::StrictSchema, true),
        // Nulls are against the schema as it is: such a server reads it in a way of its own.
        (vec![nulls(), nulls()], AnswerFormat::StrictSchema, true),
        // A server that does not know the field answers as if it were not there.
        (vec![fruit(), fruit(), bound()], own, true),
        (vec![no(), no(), bound()], own, true),
        (vec![fruit(), fruit(), fruit(), fruit()], AnswerFormat::JsonObject, false),
        (vec![good("An apple."), no(), no(), good("An apple.")], AnswerFormat::Plain, false),
        (vec![no(), no(), no(), no()], AnswerFormat::Plain, false),
    ] {
        let mut acts = acts;
        acts.push(good("{}"));
        let server = Server::new(acts);
        let mut client = server.client();
        let found = client.probe(Duration::from_secs(20)).unwrap();
        assert_eq!((found.format, found.enforced), (format, enforced));
        client.generate(&request()).unwrap();
        let system = |body: &Value| body["messages"][0]["content"].as_str().unwrap_or_default().to_owned();
        let mut asked = server.seen.iter().map(|(_, body)| body);
        let last = asked.find(|body| system(body).starts_with("be brief")).unwrap();
        assert_eq!(last["json_schema"] == json!({"type": "object"}), format == own, "{last}");
        assert_eq!(last["structured_outputs"]["json"] == json!({"type": "object"}), format == own);
        assert_eq!(system(&last).contains("{\"type\":\"object\"}"), !enforced, "{last}");
        assert_eq!(client.bound(), Some(found.to_string()));
    }
    let server = Server::new([Act::Say("401 Unauthorized", "{}".into())]);
    assert!(matches!(
        server.client().probe(Duration::from_secs(20)),
        Err(LlmError::Http { status: 401, .. })
    ));
}

#[test]
fn a_server_that_hangs_ends_in_a_timeout() {
    for act in [Act::Hang, Act::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{".to_vec())] {
        let hangs_at_once = matches!(act, Act::Hang);
        let server = Server::new([act]);
        let request = Request { deadline: Duration::from_millis(300), ..request() };
        let error = server.client().generate(&request).unwrap_err();
        if hangs_at_once {
            assert!(matches!(error, LlmError::Timeout { after, .. } if after == request.deadline), "{error}");
        } else {
            // The stream is cut rather than silent: that is told as such.
            assert!(matches!(error, LlmError::Connect { .. }), "{error}");
        }
    }
}

#[test]
fn errors_of_the_server_are_retried_and_then_told() {
    let broken = || Act::Say("500 Internal Server Error", "out of memory, key sk-secret".into());
    let server = Server::new([broken(), good("{}")]);
    assert_eq!(server.client().generate(&request()).unwrap().text, "{}");

    let server = Server::new([broken(), broken(), broken()]);
    let error = server.client().generate(&request()).unwrap_err();
    assert!(matches!(&error, LlmError::Http { status: 500, .. }), "{error}");
    assert!(error.to_string().contains("out of memory, key ***"), "{error}");

    let server = Server::new([Act::Say("429 Too Many\r\nRetry-After: 0", String::new()), good("{}")]);
    assert_eq!(server.client().generate(&request()).unwrap().text, "{}");

    // A wait beyond the deadline is not begun.
    let server = Server::new([Act::Say("429 Too Many\r\nRetry-After: 29", "later".into())]);
    let error = server.client().generate(&request()).unwrap_err();
    assert!(matches!(&error, LlmError::Http { status: 429, .. }), "{error}");
}

#[test]
fn an_error_under_a_success_status_is_one() {
    let reports = |code: u16, usage: Value| {
        let error = json!({"code": code, "message": "no credit for sk-secret"});
        Act::Say("200 OK", json!({"error": error, "usage": usage}).to_string())
    };
    let server = Server::new([reports(429, Value::Null), reports(503, Value::Null), good("{}")]);
    assert_eq!(server.client().generate(&request()).unwrap().text, "{}");

    let server = Server::new([reports(402, json!({"prompt_tokens": 9}))]);
    let mut client = server.client();
    let error = client.generate(&request()).unwrap_err();
    assert!(matches!(&error, LlmError::Http { status: 402, .. }), "{error}");
    assert!(error.to_string().ends_with("answered HTTP 402: no credit for ***"), "{error}");
    assert_eq!(client.wasted(), (9, 0), "what it says that it has read");
}

#[test]
fn statuses_that_will_not_change_are_told_at_once() {
    for (status, code) in
        [("401 Unauthorized", 401), ("404 Not Found", 404), ("302 Found\r\nLocation: /x", 302)]
    {
        let server = Server::new([Act::Say(status, "{\"error\":{\"message\":\"no\"}}".into())]);
        let error = server.client().generate(&request()).unwrap_err();
        assert!(matches!(&error, LlmError::Http { status, .. } if *status == code), "{error}");
    }
}

#[test]
fn garbage_is_a_bad_answer_and_prose_is_passed_on() {
    let server = Server::new([Act::Say("200 OK", "<html>proxy</html>".into())]);
    let error = server.client().generate(&request()).unwrap_err();
    assert!(
        matches!(&error, LlmError::BadAnswer { snippet, .. } if snippet == "<html>proxy</html>"),
        "{error}"
    );

    let server = Server::new([Act::Raw(b"\x00\x01 this is no HTTP\r\n\r\n".to_vec())]);
    assert!(matches!(server.client().generate(&request()), Err(LlmError::Connect { .. })));

    let server = Server::new([good("Sure! Here is a design.")]);
    assert_eq!(server.client().generate(&request()).unwrap().text, "Sure! Here is a design.");

    let server = Server::new([good(""), good(""), good("")]);
    let error = server.client().generate(&request()).unwrap_err();
    assert!(matches!(&error, LlmError::BadAnswer { why, .. } if why == "it is blank"), "{error}");
}

#[test]
fn what_came_to_nothing_is_paid_all_the_same() {
    let refusal = json!({
        "choices": [{"message": {"refusal": "I cannot"}}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2},
    });
    let server = Server::new([good(""), Act::Say("200 OK", refusal.to_string()), no("too long")]);
    let mut client = server.client();
    assert!(matches!(client.generate(&request()), Err(LlmError::Refused { .. })));
    assert_eq!(client.wasted(), (12, 5), "a blank answer and a refusal");
    assert!(client.generate(&Request { schema: None, ..request() }).is_err());
    assert_eq!(client.wasted(), (0, 0), "nothing was answered");
}

#[test]
fn answers_without_end_are_not_read_to_the_end() {
    let mut huge = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    huge.resize(huge.len() + MAX_ANSWER as usize + 100_000, b'x');
    let server = Server::new([Act::Raw(huge)]);
    let error = server.client().generate(&request()).unwrap_err();
    assert!(matches!(&error, LlmError::BadAnswer { why, .. } if why.contains("larger")), "{error}");
}

#[test]
fn nobody_listening_is_a_connection_error() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let mut client = OpenAi::connect(&url, "m", None, Timeouts::default()).unwrap();
    assert!(matches!(client.generate(&request()), Err(LlmError::Connect { .. })));
}

#[test]
fn endpoints_that_cannot_work_are_refused_and_keys_stay_secret() {
    for url in ["", "ftp://x", "127.0.0.1:80", "http://", "http://a b/v1", "http://x/v1?key=1"] {
        let error = OpenAi::connect(url, "m", None, Timeouts::default()).unwrap_err();
        assert!(matches!(error, LlmError::BadEndpoint { .. }), "{url}");
    }
    let error = OpenAi::connect("http://me:pass@host/v1", "m", None, Timeouts::default()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("pass"));
    let error =
        OpenAi::connect("http://x/v1", "m", Some("sk-\nsecret".into()), Timeouts::default()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"));
    let client = OpenAi::connect(
        "http://x:1/v1/chat/completions/",
        "m",
        Some("sk-secret".into()),
        Timeouts::default(),
    )
    .unwrap();
    assert_eq!(client.url, "http://x:1/v1/chat/completions");
    assert_eq!(client.name(), "m at x:1");
    assert!(!format!("{client:?}").contains("secret"));
}
