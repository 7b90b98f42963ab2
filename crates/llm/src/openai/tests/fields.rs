//! Which fields are sent: what a server refuses is left out, and thoughts get room.

use super::*;

#[test]
fn fields_that_a_server_refuses_are_left_out_from_then_on() {
    let tokens = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.";
    let heat = "Unsupported value: 'temperature' does not support 0.8 with this model.";
    let seed = r#"{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs are not permitted"}]}"#;
    let seed = Act::Say("422 Unprocessable Entity", seed.into());
    let acts = [no(tokens), no("no json_schema"), no(heat), seed, good("{}"), good("{}"), no("full")];
    let server = Server::new(acts.into_iter().chain(["full", "full"].map(no)));
    let mut client = server.client();
    for _ in 0..2 {
        assert_eq!(client.generate(&request()).unwrap().text, "{}");
        assert_eq!(client.answer_format(), Some(AnswerFormat::StrictSchema));
    }
    assert!(client.generate(&request()).unwrap_err().to_string().ends_with("answered HTTP 400: full"));
    let bodies: Vec<Value> = server.seen.iter().take(6).map(|(_, body)| body).collect();
    for (body, fields) in bodies.iter().zip([
        ["max_tokens", "temperature", "top_p", "seed"].as_slice(),
        &["max_completion_tokens", "temperature", "top_p", "seed"],
        &["max_completion_tokens", "temperature", "top_p", "seed"],
        &["max_completion_tokens", "top_p", "seed"],
        &["max_completion_tokens", "top_p"],
        &["max_completion_tokens", "top_p"],
    ]) {
        for field in ["max_tokens", "max_completion_tokens", "temperature", "top_p", "seed"] {
            assert_eq!(body.get(field).is_some(), fields.contains(&field), "{field} {body}");
        }
    }
    // Of a probe as well.
    let server = Server::new([no(tokens), no(heat), good(r#"{"word":"zq7-lantern"}"#), good("{}")]);
    let mut client = server.client();
    assert!(client.probe(Duration::from_secs(20)).unwrap().enforced);
    client.generate(&request()).unwrap();
}

#[test]
fn a_complaint_that_names_a_field_for_another_reason_changes_nothing() {
    let acts = ["temperature and more", "no", "no", "no", "no"].map(no);
    let server = Server::new(acts.into_iter().chain([good("{}")]));
    let mut client = server.client();
    let error = client.generate(&request()).unwrap_err();
    assert!(error.to_string().ends_with("answered HTTP 400: no"), "{error}");
    client.generate(&request()).unwrap();
    let last = server.seen.iter().take(6).last().unwrap().1;
    assert!(last.get("temperature").is_some());
}

#[test]
fn a_model_that_thinks_gets_room_for_it() {
    let cut = || {
        let message = json!({"content": null, "reasoning_content": "Let me think about"});
        let usage = json!({"prompt_tokens": 5, "completion_tokens": 1024});
        let body = json!({"choices": [{"message": message, "finish_reason": "length"}], "usage": usage});
        Act::Say("200 OK", body.to_string())
    };
    let server = Server::new([cut(), good("{}"), good("{}"), cut(), cut()]);
    let mut client = server.client();
    let done = client.generate(&request()).unwrap();
    assert_eq!((done.text.as_str(), done.prompt_tokens, done.completion_tokens), ("{}", 10, 1027));
    client.generate(&request()).unwrap();
    let done = client.generate(&request()).unwrap();
    assert_eq!((done.text.as_str(), done.finish), ("", Finish::Length), "at most so much");
    let limits: Vec<Value> = server.seen.iter().take(5).map(|(_, body)| body["max_tokens"].clone()).collect();
    assert_eq!(limits, [1024, 5120, 5120, 5120, 17_408]);
}
