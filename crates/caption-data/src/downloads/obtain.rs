//! From archives on a server to a data folder, in as many runs as it takes.
//!
//! Beside the data stands a folder `.download` with the archive that is being fetched and, for each that is done,
//! `NAME.unpacked` with its digest. An archive that is unpacked is removed, so that the disk holds one of them at a time.

use std::fs::{self, File, TryLockError};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use capwright_fetch::{DownloadNews, Downloader, LargeFile, Sha, UnpackLimits, unpack};
use capwright_files::Locked;

use super::{Archive, Download};
use crate::{DataError, staging};

/// Folder of what is not data.
const STORE: &str = ".download";
/// Most files of an archive.
const MOST_FILES: usize = 1_000_000;
/// How much larger than the archive its files may be. Captions shrink to a fifth, photos hardly at all.
const GROWTH: u64 = 10;

/// What is being done with an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownloadStage {
    /// What an earlier run left is being hashed.
    Checking,
    /// It arrives.
    Receiving,
    /// The connection failed; it goes on after a pause.
    Waiting {
        /// What happened, in one line.
        why: String,
        /// How long.
        pause: Duration,
    },
    /// Its files are being written.
    Unpacking,
    /// Its files are there.
    Done,
}

/// How far a download is.
#[derive(Debug, Clone)]
pub struct DownloadProgress<'a> {
    /// The archive.
    pub archive: &'a Archive,
    /// What is being done with it.
    pub stage: DownloadStage,
    /// Bytes of this stage that are done.
    pub done: u64,
    /// Bytes of this stage in all.
    pub total: u64,
}

impl Download {
    /// Fetches and unpacks all archives into `dir`, which then is a data set that [`Dataset::load`](crate::Dataset::load) reads.
    ///
    /// A run that is stopped, killed or cut off leaves what has arrived; the same call goes on. What is complete is not fetched
    /// again. `watch` is told the state several times a second, and says whether to go on. Needs a disk with room for the
    /// unpacked files and the largest archive: for COCO 2017, 40 GB.
    ///
    /// # Errors
    /// [`DataError::Download`], [`DataError::Unpack`], [`DataError::Busy`] when another process is at it, [`DataError::Write`].
    pub fn obtain(
        &self,
        dir: impl AsRef<Path>,
        watch: &mut dyn FnMut(&DownloadProgress<'_>) -> ControlFlow<()>,
    ) -> Result<(), DataError> {
        let dir = dir.as_ref();
        let store = dir.join(STORE);
        fs::create_dir_all(&store).map_err(|e| DataError::write(&store, e))?;
        let lock = store.join("lock");
        let file = File::create(&lock).map_err(|e| DataError::write(&lock, e))?;
        let _locked = match Locked::take(file) {
            Ok(locked) => locked,
            Err(TryLockError::WouldBlock) => return Err(DataError::Busy(dir.to_owned())),
            Err(TryLockError::Error(error)) => return Err(DataError::write(&lock, error)),
        };
        self.files.iter().try_for_each(|archive| archive.obtain(dir, &store, watch))
    }
}

impl Archive {
    fn obtain(
        &self,
        dir: &Path,
        store: &Path,
        watch: &mut dyn FnMut(&DownloadProgress<'_>) -> ControlFlow<()>,
    ) -> Result<(), DataError> {
        let (path, note) = (store.join(self.name), store.join(format!("{}.unpacked", self.name)));
        let mut tell = |stage, done, total| watch(&DownloadProgress { archive: self, stage, done, total });
        if !fs::read_to_string(&note).is_ok_and(|sha| sha.trim() == self.sha256) {
            self.fetch(&path, &mut tell)?;
            let limits = UnpackLimits { files: MOST_FILES, bytes: self.bytes.saturating_mul(GROWTH) };
            let wanted = |name: &str| name.starts_with(self.members);
            let mut told = |done, total| tell(DownloadStage::Unpacking, done, total);
            unpack(&path, dir, limits, &wanted, &mut told)?;
            staging::replace(&note, self.sha256.as_bytes())?;
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(DataError::write(&path, error)),
            _ => {
                // Nothing is left to stop.
                let _ = tell(DownloadStage::Done, self.bytes, self.bytes);
                Ok(())
            }
        }
    }

    fn fetch(
        &self,
        path: &Path,
        tell: &mut dyn FnMut(DownloadStage, u64, u64) -> ControlFlow<()>,
    ) -> Result<(), DataError> {
        let sha256 = Sha::new(self.sha256).map_err(|e| DataError::write(path, std::io::Error::other(e)))?;
        let file = LargeFile { url: self.url, bytes: self.bytes, sha256: &sha256 };
        let mut here = 0;
        let mut told = |news: &DownloadNews| {
            let stage = match news {
                DownloadNews::Checking(bytes) => {
                    here = *bytes;
                    DownloadStage::Checking
                }
                DownloadNews::Receiving(bytes) => {
                    here = *bytes;
                    DownloadStage::Receiving
                }
                DownloadNews::Waiting { why, pause } => {
                    DownloadStage::Waiting { why: why.clone(), pause: *pause }
                }
            };
            tell(stage, here, self.bytes)
        };
        Ok(Downloader::default().fetch(&file, path, &mut told)?)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::image_file::tests::{gradient, png};
    use crate::{Dataset, Split};

    /// A small data set in COCO's layout, as an archive that is stored uncompressed.
    fn coco_archive() -> Vec<u8> {
        let captions = |id: u64| {
            let json = serde_json::json!({
                "images": [{"id": id, "file_name": format!("{id}.png")}],
                "annotations": [{"id": 1, "image_id": id, "caption": "a coloured square"}],
            });
            json.to_string().into_bytes()
        };
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        for (name, content) in [
            ("set/annotations/captions_train2017.json", captions(1)),
            ("set/annotations/captions_val2017.json", captions(2)),
            ("set/train2017/1.png", png(&gradient(8, 8))),
            ("set/val2017/2.png", png(&gradient(9, 9))),
            ("other/instances.json", vec![b' '; 1000]),
        ] {
            zip.start_file(name, options).unwrap();
            zip.write_all(&content).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    /// Serves the content from the asked place on, over and over.
    fn serve(content: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/set.zip", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let from = head
                    .iter()
                    .find_map(|l| l.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
                let from: usize = from.map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
                let (length, last) = (content.len(), content.len() - 1);
                let status = if from == 0 { "200 OK" } else { "206 Partial Content" };
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{last}/{length}\r\nConnection: close\r\n\r\n",
                    length - from
                );
                let _ = stream.write_all(&[head.as_bytes(), &content[from..]].concat());
            }
        });
        url
    }

    fn download(content: &[u8], members: &'static str) -> Download {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x"), content).unwrap();
        let sha256 = capwright_files::sha256_file(&dir.path().join("x")).unwrap().leak();
        let url = serve(content.to_vec()).leak();
        let archive = Archive { name: "set.zip", url, bytes: content.len() as u64, sha256, members };
        Download { name: "set", title: "", terms: "", files: vec![archive].leak() }
    }

    #[test]
    fn a_stopped_download_goes_on_and_becomes_a_data_set() {
        let dir = tempfile::tempdir().unwrap();
        let set = download(&coco_archive(), "set/");
        let mut stop = |news: &DownloadProgress<'_>| match news.stage {
            DownloadStage::Unpacking => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        assert!(matches!(set.obtain(dir.path(), &mut stop), Err(DataError::Unpack(_))));
        let mut stages = Vec::new();
        let mut watch = |news: &DownloadProgress<'_>| {
            stages.push((news.stage.clone(), news.done == news.total));
            ControlFlow::Continue(())
        };
        set.obtain(dir.path(), &mut watch).unwrap();
        assert_eq!(stages.first(), Some(&(DownloadStage::Checking, true)), "it was not fetched again");
        assert!(stages.contains(&(DownloadStage::Unpacking, true)));
        let data = Dataset::load(dir.path().join("set")).unwrap();
        assert_eq!((data.records(Split::Train).count(), data.records(Split::Val).count()), (1, 1));
        assert!(!dir.path().join("other").exists() && !dir.path().join(".download/set.zip").exists());

        let mut again = Vec::new();
        let mut watch = |news: &DownloadProgress<'_>| {
            again.push(news.stage.clone());
            ControlFlow::Continue(())
        };
        set.obtain(dir.path(), &mut watch).unwrap();
        assert_eq!(again, [DownloadStage::Done]);
    }

    #[test]
    fn one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(STORE)).unwrap();
        let held = File::create(dir.path().join(".download/lock")).unwrap();
        held.lock().unwrap();
        let set = download(&coco_archive(), "set/");
        let busy = set.obtain(dir.path(), &mut |_| ControlFlow::Continue(()));
        assert!(matches!(busy, Err(DataError::Busy(_))));
    }
}
