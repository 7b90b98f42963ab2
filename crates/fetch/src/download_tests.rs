use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::*;
use capwright_files::sha256_file;

/// Longer than a buffer, and no two places alike.
fn content() -> Vec<u8> {
    (0..300_000u32).flat_map(u32::to_le_bytes).collect()
}

fn sha_of(content: &[u8]) -> Sha {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("x");
    fs::write(&path, content).unwrap();
    Sha::new(&sha256_file(&path).unwrap()).unwrap()
}

/// What a server does with one connection.
#[derive(Clone, Copy)]
enum Answer {
    /// Knows ranges, and sends at most so many bytes before it hangs up.
    Ranges(usize),
    /// Knows no ranges.
    Whole,
    /// Claims a range that was not asked for.
    WrongRange,
    /// Sends more than it should, without a length.
    Endless,
    Status(u16),
}

/// Answers one connection after the other, and notes the ranges that were asked for.
fn serve(content: Vec<u8>, answers: Vec<Answer>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/large.zip", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = asked.clone();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let range = head
                .iter()
                .find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
            let from = range.as_deref().map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
            notes.lock().unwrap().push(range.unwrap_or_default());
            // A client that has enough hangs up, which is no fault of the server.
            let _ = stream.write_all(&said(&content, answer, from));
        }
    });
    (url, asked)
}

fn said(content: &[u8], answer: Answer, from: usize) -> Vec<u8> {
    let (length, last) = (content.len(), content.len() - 1);
    let part = |start: usize, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {start}-{last}/{length}\r\n",
            length - start
        );
        [head.as_bytes(), b"Connection: close\r\n\r\n", body].concat()
    };
    let whole = |body: &[u8]| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        [head.as_bytes(), body].concat()
    };
    match answer {
        Answer::Ranges(most) if from == 0 => whole(&content[..most.min(length)]),
        Answer::Ranges(most) => part(from, &content[from..(from.saturating_add(most)).min(length)]),
        Answer::Whole => whole(content),
        Answer::WrongRange => part(0, content),
        Answer::Endless => {
            [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".as_slice(), content, b"more"].concat()
        }
        Answer::Status(status) => {
            format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
        }
    }
}

struct Case {
    dir: TempDir,
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    sha: Sha,
    bytes: u64,
}

impl Case {
    fn new(answers: Vec<Answer>) -> Case {
        let (url, asked) = serve(content(), answers);
        Case {
            dir: TempDir::new().unwrap(),
            url,
            asked,
            sha: sha_of(&content()),
            bytes: content().len() as u64,
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("large.zip")
    }

    fn part(&self) -> PathBuf {
        self.dir.path().join("large.zip.part")
    }

    fn fetch_watched(
        &self,
        watch: &mut dyn FnMut(&DownloadNews) -> ControlFlow<()>,
    ) -> Result<(), DownloadError> {
        let downloader = Downloader { tries: 3, pause: Duration::from_millis(1), ..Downloader::default() };
        let file = LargeFile { url: &self.url, bytes: self.bytes, sha256: &self.sha };
        downloader.fetch(&file, &self.path(), watch)
    }

    fn fetch(&self) -> Result<(), DownloadError> {
        self.fetch_watched(&mut |_| ControlFlow::Continue(()))
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn is_whole(&self) -> bool {
        fs::read(self.path()).unwrap() == content() && !self.part().exists()
    }
}

const ALL: Answer = Answer::Ranges(usize::MAX);

#[test]
fn a_whole_file_arrives_and_is_found_again_without_a_server() {
    let case = Case::new(vec![ALL]);
    let mut seen = Vec::new();
    let mut watch = |news: &DownloadNews| {
        seen.push(news.clone());
        ControlFlow::Continue(())
    };
    case.fetch_watched(&mut watch).unwrap();
    assert!(case.is_whole());
    assert_eq!(seen.last(), Some(&DownloadNews::Receiving(case.bytes)));
    case.fetch().unwrap();
    assert_eq!(case.asked(), [""]);
    fs::write(case.path(), b"another").unwrap();
    assert!(matches!(case.fetch(), Err(DownloadError::Taken { .. })));
}

#[test]
fn a_stopped_download_goes_on_where_it_was() {
    let case = Case::new(vec![ALL, ALL]);
    let mut watch = |news: &DownloadNews| match news {
        DownloadNews::Receiving(bytes) if *bytes > 200_000 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let Err(DownloadError::Stopped { bytes, .. }) = case.fetch_watched(&mut watch) else { panic!() };
    assert_eq!(fs::metadata(case.part()).unwrap().len(), bytes);
    let mut checked = 0;
    let mut watch = |news: &DownloadNews| {
        if let DownloadNews::Checking(bytes) = news {
            checked = *bytes;
        }
        ControlFlow::Continue(())
    };
    case.fetch_watched(&mut watch).unwrap();
    assert!(case.is_whole());
    assert_eq!(checked, bytes);
    assert_eq!(case.asked(), ["".to_owned(), format!("{bytes}-")]);
}

#[test]
fn cut_connections_and_busy_servers_are_tried_again() {
    let some = Answer::Ranges(250_000);
    let case = Case::new(vec![some, Answer::Status(503), some, Answer::WrongRange, Answer::Status(429), ALL]);
    let mut waits = 0;
    let mut watch = |news: &DownloadNews| {
        waits += usize::from(matches!(news, DownloadNews::Waiting { .. }));
        ControlFlow::Continue(())
    };
    case.fetch_watched(&mut watch).unwrap();
    assert!(case.is_whole());
    assert!(waits >= 5, "{waits}");
    assert_eq!(case.asked()[1..], ["250000-", "250000-", "500000-", "500000-", "500000-"]);
}

#[test]
fn it_gives_up_after_failures_without_a_byte_and_keeps_the_part() {
    let busy = Answer::Status(500);
    let case = Case::new(vec![Answer::Ranges(1000), busy, busy, busy]);
    let error = case.fetch().unwrap_err();
    assert!(matches!(&error, DownloadError::Unreachable { tries: 3, bytes: 1000, .. }), "{error}");
    assert_eq!(fs::read(case.part()).unwrap(), content()[..1000]);
    let gone = Case::new(vec![Answer::Status(404)]);
    let error = gone.fetch().unwrap_err();
    assert!(matches!(&error, DownloadError::Refused { why, .. } if why.contains("404")), "{error}");
}

#[test]
fn a_server_without_ranges_sends_everything_again() {
    let case = Case::new(vec![Answer::Whole]);
    fs::write(case.part(), &content()[..1000]).unwrap();
    case.fetch().unwrap();
    assert!(case.is_whole());
    assert_eq!(case.asked(), ["1000-"]);
}

#[test]
fn a_part_of_something_else_is_given_up_and_a_wrong_file_is_refused() {
    let case = Case::new(vec![ALL, ALL]);
    fs::write(case.part(), vec![7; 1000]).unwrap();
    case.fetch().unwrap();
    assert!(case.is_whole());
    assert_eq!(case.asked(), ["1000-", ""]);

    let mut wrong = Case::new(vec![ALL]);
    wrong.sha = sha_of(b"another file");
    let error = wrong.fetch().unwrap_err();
    assert!(matches!(&error, DownloadError::Digest { .. }), "{error}");
    assert!(!wrong.part().exists() && !wrong.path().exists());
}

#[test]
fn a_wrong_file_that_comes_in_pieces_is_begun_anew_once() {
    let some = Answer::Ranges(700_000);
    let mut wrong = Case::new(vec![some, ALL, some, ALL, some, ALL]);
    wrong.sha = sha_of(b"another file");
    let error = wrong.fetch().unwrap_err();
    assert!(matches!(&error, DownloadError::Digest { .. }), "{error}");
    assert_eq!(wrong.asked(), ["", "700000-", "", "700000-"]);
    assert!(!wrong.part().exists() && !wrong.path().exists());
}

#[test]
fn too_long_a_part_or_file_is_not_kept() {
    let long = Case::new(vec![Answer::Status(416), ALL]);
    fs::write(long.part(), [content(), vec![1]].concat()).unwrap();
    long.fetch().unwrap();
    assert!(long.is_whole());

    let endless = Case::new(vec![Answer::Endless]);
    let error = endless.fetch().unwrap_err();
    assert!(matches!(&error, DownloadError::Size { found: None, .. }), "{error}");
    assert_eq!(fs::metadata(endless.part()).unwrap().len(), 0);

    let mut other = Case::new(vec![ALL]);
    other.bytes += 1;
    let error = other.fetch().unwrap_err();
    assert!(matches!(&error, DownloadError::Size { found: Some(1_200_000), .. }), "{error}");
}

#[test]
fn two_processes_do_not_write_one_part() {
    let case = Case::new(vec![]);
    let held = File::create(case.part()).unwrap();
    held.lock().unwrap();
    assert!(matches!(case.fetch(), Err(DownloadError::Busy { .. })));
}

#[test]
fn waiting_ends_when_it_is_told_to_stop() {
    let case = Case::new(vec![Answer::Status(500)]);
    let downloader = Downloader { pause: Duration::from_secs(600), ..Downloader::default() };
    let file = LargeFile { url: &case.url, bytes: case.bytes, sha256: &case.sha };
    let mut watch = |news: &DownloadNews| match news {
        DownloadNews::Waiting { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let ended = downloader.fetch(&file, &case.path(), &mut watch);
    assert!(matches!(ended, Err(DownloadError::Stopped { bytes: 0, .. })));
}
