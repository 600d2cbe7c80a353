//! Reads small files that other programs write, such as mounted keys and tokens.
//!
//! The path is resolved again at each read, so that a replaced symbolic link leads to the new file.
//! Only regular files are read. A directory, a device or a FIFO causes an error and does not block
//! the read.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use tokio::sync::{Semaphore, oneshot};

/// A file that is read repeatedly. A read may block, for example on a network file system.
///
/// A blocked read cannot be stopped. So there is at most one read at a time, on its own thread.
/// This thread is not one of tokio's blocking threads, so a runtime that shuts down does not wait
/// for it. The next read starts only after this read has ended, even if the caller of this read no
/// longer waits.
pub(crate) struct Reader {
    path: Arc<Path>,
    limit: usize,
    read: fn(&Path, usize) -> Result<Vec<u8>, String>,
    one_at_a_time: Arc<Semaphore>,
}

impl Reader {
    /// A file that may have at most `limit` bytes.
    pub(crate) fn new(path: &Path, limit: usize) -> Self {
        let one_at_a_time = Arc::new(Semaphore::new(1));
        Self { path: path.into(), limit, read: read_now, one_at_a_time }
    }

    #[cfg(feature = "http-client")]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file.
    ///
    /// # Errors
    /// The message is for the log and shows nothing of the file's content.
    pub(crate) async fn read(&self) -> Result<Vec<u8>, String> {
        let (path, limit, read) = (Arc::clone(&self.path), self.limit, self.read);
        let place = Arc::clone(&self.one_at_a_time).acquire_owned().await;
        // The semaphore is never closed.
        let place = place.map_err(|_| "the read was aborted".to_owned())?;
        let (answer, answered) = oneshot::channel();
        let work = move || {
            let content = read(&path, limit);
            // The thread, not the waiting caller, holds the permit until the read has ended.
            drop(place);
            // An error means that the caller no longer waits.
            let _ = answer.send(content);
        };
        let started = thread::Builder::new().name("read-file".to_owned()).spawn(work);
        started.map_err(|error| format!("cannot start a thread to read the file: {error}"))?;
        answered.await.unwrap_or_else(|_| Err("the read was aborted".to_owned()))
    }
}

/// Reads a file.
///
/// # Errors
/// The message is for the log and shows nothing of the file's content.
pub(crate) fn read_now(path: &Path, limit: usize) -> Result<Vec<u8>, String> {
    let failed = |problem: &str| format!("{problem}: {}", path.display());
    let open = || {
        // Opening a FIFO blocks until another process opens the other end. So check the type of the
        // file first.
        if !fs::metadata(path)?.is_file() {
            return Ok(None);
        }
        let file = File::open(path)?;
        // The file may have been replaced after the first check.
        Ok(file.metadata()?.is_file().then_some(file))
    };
    let broken = |error: std::io::Error| failed(&error.to_string());
    let file = open().map_err(broken)?.ok_or_else(|| failed("not a regular file"))?;
    let mut content = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut content).map_err(broken)?;
    if content.len() > limit {
        return Err(failed(&format!("more than {limit} bytes")));
    }
    Ok(content)
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;

    /// The number of threads that read a file, in this process.
    fn readers() -> usize {
        let tasks = fs::read_dir("/proc/self/task").unwrap();
        let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm"));
        tasks.filter_map(|task| name(task.ok()?).ok()).filter(|name| name == "read-file\n").count()
    }

    /// A FIFO without a writer behaves like a mount that hangs: opening it blocks.
    #[test]
    fn of_a_file_that_hangs_one_read_is_under_way_and_it_holds_up_no_shutdown() {
        let folder = std::env::temp_dir().join(format!("read-file-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("keys");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let reader = Reader {
            read: |path, _| fs::read(path).map_err(|e| e.to_string()),
            ..Reader::new(&path, 9)
        };
        let runtime =
            || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let soon = Duration::from_millis(20);
        for attempt in 0..10 {
            let runtime = runtime();
            runtime.block_on(async {
                let read = tokio::time::timeout(soon, reader.read()).await;
                assert!(read.is_err(), "{attempt}: it hangs");
                // At most one thread, even if other tests read files too.
                assert!(readers() <= 1, "{attempt}");
            });
            // The runtime is dropped here. It does not wait for the read.
        }
        // The mount is available again. The file is read again, although an earlier read has
        // finished late.
        fs::write(&path, "late").unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "present").unwrap();
        let read = runtime().block_on(reader.read());
        assert_eq!(read, Ok(b"present".to_vec()));
        fs::remove_dir_all(&folder).unwrap();
    }
}
