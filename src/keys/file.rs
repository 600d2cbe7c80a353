//! Small files that others write: keys and tokens that are mounted.
//!
//! A name is looked up anew at each read, so that a symbolic link that was swapped leads to the new
//! file. Only regular files are read: a directory, a device or a FIFO is an error and no wait.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

/// Reads a file on a thread where it may block, as files on a network do.
///
/// # Errors
/// In words fit for a log, without anything that the file holds.
pub(crate) async fn read(path: &Arc<Path>, limit: usize) -> Result<Vec<u8>, String> {
    let path = Arc::clone(path);
    let read = tokio::task::spawn_blocking(move || read_now(&path, limit)).await;
    read.unwrap_or_else(|_| Err("the read was aborted".to_owned()))
}

/// Reads a file.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_now(path: &Path, limit: usize) -> Result<Vec<u8>, String> {
    let failed = |problem: &str| format!("{problem}: {}", path.display());
    let open = || {
        // To open a FIFO is to wait for its other end, so what the name stands for is asked first.
        if !fs::metadata(path)?.is_file() {
            return Ok(None);
        }
        let file = File::open(path)?;
        // The name may have changed hands in between.
        Ok(file.metadata()?.is_file().then_some(file))
    };
    let broken = |error: std::io::Error| failed(&error.to_string());
    let file = open().map_err(broken)?.ok_or_else(|| failed("no regular file"))?;
    let mut content = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut content).map_err(broken)?;
    if content.len() > limit {
        return Err(failed(&format!("more than {limit} bytes")));
    }
    Ok(content)
}
