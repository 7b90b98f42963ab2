//! The store: one table of events.

use crate::lock::WriterLock;
use capwright_study::{Event, Recorded, StoreError, TrialStore};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `PRAGMA application_id` of a study: "CapW".
const APPLICATION: i64 = 0x4361_7057;

/// `PRAGMA user_version`: the format of the table below.
const FORMAT: i64 = 1;

/// How long a call waits for another connection's short transaction.
const PATIENCE: Duration = Duration::from_secs(10);

const SCHEMA: &str = "
CREATE TABLE events (
    seq   INTEGER PRIMARY KEY CHECK (seq > 0),
    at_ms INTEGER NOT NULL,
    kind  TEXT NOT NULL,
    json  TEXT NOT NULL
) STRICT;
CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE TRIGGER events_are_not_removed BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are never removed'); END;
CREATE TRIGGER events_are_appended BEFORE INSERT ON events
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM events)
BEGIN SELECT RAISE(ABORT, 'events are only appended'); END;
";

/// A study's ledger in a SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    // Before the lock: the database is closed first, then given up.
    connection: Connection,
    writer: Option<WriterLock>,
}

impl SqliteStore {
    /// Makes a new study that holds `first`: the file appears with all of these events or not at all, also where the process is
    /// killed meanwhile. The folder must exist. An empty file of that name is nobody's study and is replaced, and the log of a study
    /// that somebody removed is no part of the new one.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if there is such a file, [`StoreError::InUse`], [`StoreError::Backend`].
    pub fn create(path: &Path, first: &[Event]) -> Result<Self, StoreError> {
        let lock = WriterLock::take(path)?;
        if path.symlink_metadata().is_ok() && !is_empty(path) {
            return Err(StoreError::Exists { path: path.to_owned() });
        }
        let failed = |e: std::io::Error| backend(path, "make the study", &e);
        let draft = capwright_files::temporary_in(capwright_files::folder_of(path)).map_err(failed)?;
        let mut made = Self::connect(draft.path(), Some(lock))?;
        made.prepare().map_err(|e| translate(path, "make the study", e))?;
        made.append_all(first)?;
        let Self { connection, writer, .. } = made;
        connection.close().map_err(|(_, e)| translate(path, "make the study", e))?;
        remove_left_over(path)?;
        capwright_files::keep(draft, path).map_err(failed)?;
        let store = Self::connect(path, writer)?;
        store.durable().map_err(|e| translate(path, "open the study", e))?;
        Ok(store)
    }

    /// Opens a study for reading and appending.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::InUse`], [`StoreError::NotAStudy`], [`StoreError::Newer`],
    /// [`StoreError::Corrupt`], [`StoreError::Backend`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        recognise(path)?;
        let lock = WriterLock::take(path)?;
        let store = Self::connect(path, Some(lock))?;
        store.check()?;
        store.durable().map_err(|e| translate(path, "open the study", e))?;
        Ok(store)
    }

    /// Opens a study for reading only, also while another process writes to it.
    ///
    /// # Errors
    /// As [`SqliteStore::open`], but never [`StoreError::InUse`].
    pub fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        recognise(path)?;
        // What a killed writer left half done is for the next to open the file to settle, a reader as well. SQLite itself turns
        // to reading only where the file cannot be written.
        let mut store = Self::connect(path, None)?;
        if store.lacks_log()
            && let Some(connection) = unchanging(path)
        {
            store.connection = connection;
        }
        let only = store.connection.pragma_update(None, "query_only", true);
        only.map_err(|e| translate(path, "open the study", e))?;
        store.check()?;
        Ok(store)
    }

    fn connect(path: &Path, writer: Option<WriterLock>) -> Result<Self, StoreError> {
        let connection = opened(path, OpenFlags::SQLITE_OPEN_READ_WRITE);
        let connection = connection.map_err(|e| translate(path, "open the study", e))?;
        Ok(Self { path: path.to_owned(), connection, writer })
    }

    /// Whether the file cannot be read because its log and the memory that readers share cannot be made beside it.
    fn lacks_log(&self) -> bool {
        let read = self.connection.pragma_query_value(None, "user_version", |_| Ok(()));
        let code = read.err().and_then(|error| error.sqlite_error_code());
        matches!(code, Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
    }

    /// Writes the schema of a new study.
    fn prepare(&mut self) -> rusqlite::Result<()> {
        let schema = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        schema.execute_batch(SCHEMA)?;
        schema.pragma_update(None, "application_id", APPLICATION)?;
        schema.pragma_update(None, "user_version", FORMAT)?;
        schema.commit()
    }

    /// An acknowledged transaction is on disk.
    fn durable(&self) -> rusqlite::Result<()> {
        self.connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        self.connection.pragma_update(None, "synchronous", "FULL")
    }

    /// Whether the file is a study of a known format.
    fn check(&self) -> Result<(), StoreError> {
        let pragma = |name| {
            let value = self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            value.map_err(|e| translate(&self.path, "read the study", e))
        };
        if pragma("application_id")? != APPLICATION {
            let reason = "it is a database of another program".to_owned();
            return Err(StoreError::NotAStudy { path: self.path.clone(), reason });
        }
        match pragma("user_version")? {
            FORMAT => Ok(()),
            found if found > FORMAT => {
                Err(StoreError::Newer { path: self.path.clone(), found, known: FORMAT })
            }
            found => Err(self.corrupt(format!("it says to have format {found}"))),
        }
    }

    /// Appends events in one transaction, and gives the number of the last.
    fn insert(&mut self, events: &[Event]) -> Result<u64, StoreError> {
        if self.writer.is_none() {
            return Err(StoreError::ReadOnly { path: self.path.clone() });
        }
        let lines: Vec<String> = events.iter().map(Event::to_json).collect::<Result<_, _>>()?;
        let now = now_ms();
        let mut insert = || {
            let t = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut last: i64 = 0;
            for (event, json) in events.iter().zip(&lines) {
                // A clock set back must not put an event before an earlier one.
                last = t.query_row(
                    "INSERT INTO events SELECT coalesce(max(seq), 0) + 1, max(?1, coalesce(max(at_ms), 0)), ?2, ?3
                     FROM events RETURNING seq",
                    (now, event.kind(), json),
                    |row| row.get(0),
                )?;
            }
            t.commit()?;
            Ok(last)
        };
        let last = insert().map_err(|e| translate(&self.path, "write to the study", e))?;
        Ok(last.unsigned_abs())
    }

    fn corrupt(&self, reason: String) -> StoreError {
        StoreError::Corrupt { path: self.path.clone(), reason }
    }
}

impl TrialStore for SqliteStore {
    fn append(&mut self, event: &Event) -> Result<u64, StoreError> {
        self.insert(std::slice::from_ref(event))
    }

    fn append_all(&mut self, events: &[Event]) -> Result<(), StoreError> {
        self.insert(events).map(drop)
    }

    fn events(&mut self) -> Result<Vec<Recorded>, StoreError> {
        let rows = || {
            let mut select = self.connection.prepare("SELECT seq, at_ms, json FROM events ORDER BY seq")?;
            let rows = select.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect::<rusqlite::Result<Vec<(i64, i64, String)>>>()
        };
        let rows = rows().map_err(|e| translate(&self.path, "read the study", e))?;
        (1u64..)
            .zip(rows)
            .map(|(seq, (found, at, json))| {
                if found.unsigned_abs() != seq {
                    return Err(self.corrupt(format!("event {seq} is missing")));
                }
                let event = Event::from_json(&json).map_err(|e| self.corrupt(format!("event {seq}: {e}")))?;
                Ok(Recorded { seq, at_unix_ms: at.max(0).unsigned_abs(), event })
            })
            .collect()
    }
}

fn opened(name: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(name, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

/// The database as a file that nobody writes to meanwhile, which is read without a log; none where the log holds what the file lacks.
fn unchanging(path: &Path) -> Option<Connection> {
    let path = path.canonicalize().ok()?;
    if std::fs::metadata(beside(&path, "-wal")).is_ok_and(|m| m.len() > 0) {
        return None;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    opened(Path::new(&format!("file:{}?immutable=1", escaped(&path))), flags).ok()
}

/// What SQLite keeps beside a database: its name and `end`.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Removes what a process that was killed left beside a study that is no longer there: SQLite would take it for the log of the next
/// file of that name, and the new study would hold the events of the old one.
fn remove_left_over(path: &Path) -> Result<(), StoreError> {
    for left in ["-wal", "-shm", "-journal"].map(|end| beside(path, end)) {
        match std::fs::remove_file(&left) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                return Err(backend(&left, "remove what an earlier study left", &e));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A path as part of a URI.
fn escaped(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
    let shown = |byte: &u8| match *byte {
        byte if plain(byte) => String::from(char::from(byte)),
        byte => format!("%{byte:02X}"),
    };
    path.as_os_str().as_encoded_bytes().iter().map(shown).collect()
}

/// Whether the file is there and begins as every SQLite database does; told before a lock file is made beside it.
fn recognise(path: &Path) -> Result<(), StoreError> {
    const MAGIC: &[u8; 16] = b"SQLite format 3\0";
    let foreign =
        |reason: &str| Err(StoreError::NotAStudy { path: path.to_owned(), reason: reason.to_owned() });
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return Err(StoreError::Missing { path: path.to_owned() });
        }
        Err(e) => return Err(backend(path, "open the study", &e)),
    };
    if file.metadata().is_ok_and(|m| m.is_dir()) {
        return foreign("it is a folder");
    }
    let mut head = Vec::with_capacity(MAGIC.len());
    let read = file.take(MAGIC.len() as u64).read_to_end(&mut head);
    read.map_err(|e| backend(path, "read the study", &e))?;
    if head.is_empty() {
        return foreign("it is empty");
    }
    if head != MAGIC {
        return foreign("it is no SQLite database");
    }
    Ok(())
}

fn is_empty(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() == 0)
}

fn backend(path: &Path, what: &'static str, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::Backend { path: path.to_owned(), what, reason: why.to_string() }
}

fn translate(path: &Path, what: &'static str, error: rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    let reason = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreError::NotAStudy { path, reason },
        Some(ErrorCode::DatabaseCorrupt) => StoreError::Corrupt { path, reason },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::InUse { path },
        _ => StoreError::Backend { path, what, reason },
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
