//! Looks up host names with the system's resolver.
//!
//! The system's resolver blocks and can't be cancelled. If no name server answers, it may block for
//! half a minute. If lookups ran on tokio's pool of blocking threads, each request could block one
//! of these threads, until none is left, for example to read a file. The shutdown of the program
//! would also wait for these threads. So each name is looked up at most once at a time (single
//! flight), on a separate thread that the shutdown does not wait for.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::watch;

use crate::clock::real_time;

/// How long a lookup may take. After this time, no request joins the lookup, and another lookup of
/// the same name may begin. The system's resolver repeats a query after 5 s, at the same name
/// server or at the next.
const OVERDUE: Duration = Duration::from_secs(10);

/// The maximum number of threads at one time, including those of overdue lookups.
const MAX_THREADS: usize = 64;

/// How many of these threads are reserved for names that were found before. Otherwise made-up names
/// of tenants, for which no name server answers, could use all threads, and no connection to any
/// other host would be possible.
const FOR_KNOWN: usize = 16;

/// The maximum number of found names that are stored. When this number is reached, all stored names
/// are removed.
const MAX_KNOWN: usize = 4_096;

/// The result of a lookup: the addresses, or `None` without the error text of the system.
type Found = Option<Arc<[IpAddr]>>;

type Lookup = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Why a name lookup failed. `true`: the system's resolver was called and returned no address.
/// `false`: the resolver could not be called.
#[derive(Debug)]
pub(super) struct NoAddress(pub(super) bool);

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 {
            "the name was not found"
        } else {
            "too many names are being looked up"
        })
    }
}

impl std::error::Error for NoAddress {}

/// Looks up names, with one thread for each lookup.
#[derive(Clone)]
pub(super) struct Names {
    lookup: Arc<Lookup>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    in_progress: HashMap<Box<str>, InProgress>,
    known: HashSet<Box<str>>,
    begun: u64,
    threads: usize,
}

struct InProgress {
    number: u64,
    since: Instant,
    found: watch::Receiver<Option<Found>>,
}

/// Cleans up when a thread ends, also if it panics.
struct End {
    state: Arc<Mutex<State>>,
    name: Box<str>,
    number: u64,
    was_found: bool,
}

impl Default for Names {
    fn default() -> Self {
        Self::by(|name| {
            // The HTTP client adds the port later.
            Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
        })
    }
}

impl Names {
    fn by(lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Self {
        Self { lookup: Arc::new(lookup), state: Arc::default() }
    }

    /// Joins the lookup of this name that is in progress, or begins one.
    fn join(&self, name: &str) -> Result<watch::Receiver<Option<Found>>, NoAddress> {
        let now = real_time();
        let mut state = lock(&self.state);
        if let Some(in_progress) = state.in_progress.get(name)
            && now.saturating_duration_since(in_progress.since) < OVERDUE
        {
            return Ok(in_progress.found.clone());
        }
        let reserved = if state.known.contains(name) { 0 } else { FOR_KNOWN };
        if state.threads >= MAX_THREADS - reserved {
            return Err(NoAddress(false));
        }
        let (sender, found) = watch::channel(None);
        let number = state.begun;
        state.begun += 1;
        state.threads += 1;
        let in_progress = InProgress { number, since: now, found: found.clone() };
        state.in_progress.insert(name.into(), in_progress);
        drop(state);
        // If no thread can be started, dropping `end` ends the lookup.
        let state = Arc::clone(&self.state);
        let mut end = End { state, name: name.into(), number, was_found: false };
        let lookup = Arc::clone(&self.lookup);
        thread::Builder::new()
            .name("resolve".to_owned())
            .spawn(move || {
                let addresses = lookup(&end.name).ok().filter(|addresses| !addresses.is_empty());
                end.was_found = addresses.is_some();
                // First remove the lookup from the list. Then a task that looks up the name again
                // after this result begins a new lookup.
                drop(end);
                sender.send_replace(Some(addresses.map(Into::into)));
            })
            .map_err(|_| NoAddress(false))?;
        Ok(found)
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let joined = self.join(name.as_str());
        Box::pin(async move {
            let mut found = joined?;
            // The connection timeout limits this wait.
            let found = found.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
            let addresses = found.flatten().ok_or(NoAddress(true))?;
            let addresses: Vec<_> = addresses.iter().map(|ip| SocketAddr::new(*ip, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.threads = state.threads.saturating_sub(1);
        if self.was_found {
            if state.known.len() >= MAX_KNOWN {
                state.known.clear();
            }
            state.known.insert(self.name.clone());
        }
        if state.in_progress.get(&self.name).is_some_and(|own| own.number == self.number) {
            state.in_progress.remove(&self.name);
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    async fn resolve(names: &Names, name: &str) -> Option<Vec<SocketAddr>> {
        names.resolve(name.parse().unwrap()).await.ok().map(Iterator::collect)
    }

    /// Waits until exactly `count` lookups have begun: their threads may start late.
    async fn started(lookups: &AtomicUsize, count: usize) {
        for _ in 0..60_000 {
            if lookups.load(Ordering::SeqCst) >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(lookups.load(Ordering::SeqCst), count);
    }

    /// The runtime shuts down although a thread of the resolver is still busy.
    #[test]
    fn a_name_is_looked_up_once_at_a_time_and_holds_nothing_up() {
        let lookups = Arc::new(AtomicUsize::new(0));
        let (release, released) = channel::<()>();
        let released = Mutex::new(released);
        let count = Arc::clone(&lookups);
        let names = Names::by(move |name| {
            count.fetch_add(1, Ordering::SeqCst);
            match name {
                "hangs" => drop(released.lock().unwrap().recv()),
                "panics" => panic!("of the test"),
                "unknown" => return Err(io::Error::other("of the test")),
                "empty" => return Ok(Vec::new()),
                _ => {}
            }
            Ok(vec![Ipv4Addr::LOCALHOST.into()])
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build().unwrap();
        let wait = Duration::from_secs(60);
        runtime.block_on(async {
            // All tasks join before the answer comes, whenever they run.
            let all: Vec<_> =
                (0..50).map(|_| tokio::spawn(names.resolve("hangs".parse().unwrap()))).collect();
            let own = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
            assert_eq!(resolve(&names, "other").await, Some(own.clone()), "another name");
            for name in ["panics", "unknown", "empty"] {
                let answer = tokio::time::timeout(wait, resolve(&names, name)).await;
                assert_eq!(answer.unwrap(), None, "{name}");
            }
            started(&lookups, 5).await;
            release.send(()).unwrap();
            for waiting in all {
                let found = tokio::time::timeout(wait, waiting).await.unwrap().unwrap();
                assert_eq!(found.ok().map(Iterator::collect), Some(own.clone()), "each has it");
            }
            let again = names.resolve("hangs".parse().unwrap());
            assert!(
                tokio::time::timeout(wait / 600, again).await.is_err(),
                "it was for the others"
            );
            started(&lookups, 6).await;
        });
        let (ended, end) = channel();
        thread::spawn(move || {
            drop(runtime);
            let _ = ended.send(());
        });
        assert!(end.recv_timeout(wait).is_ok(), "the runtime waits for a thread that hangs");
        assert_eq!(lock(&names.state).threads, 1, "the one that hangs");
        drop(release);
    }

    #[test]
    fn the_threads_are_bounded() {
        let (release, released) = channel::<()>();
        let released = Mutex::new(released);
        let names = Names::by(move |name| {
            if name.starts_with("hangs") {
                let _ = released.lock().unwrap().recv();
            }
            Ok(if name == "unknown" { Vec::new() } else { vec![Ipv4Addr::LOCALHOST.into()] })
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            assert!(resolve(&names, "known").await.is_some());
            assert!(resolve(&names, "unknown").await.is_none());
        });
        let begun = (0..1_000).take_while(|n| names.join(&format!("hangs-{n}")).is_ok()).count();
        assert!(names.join("hangs-0").is_ok(), "one that is under way");
        runtime.block_on(async {
            assert!(names.join("unknown").is_err(), "it was never found");
            assert!(resolve(&names, "known").await.is_some(), "it was found before");
        });
        assert_eq!((begun, lock(&names.state).threads), (48, 48));
        drop(release);
    }

    #[test]
    fn a_lookup_that_is_overdue_is_not_waited_for() {
        let (release, released) = channel::<()>();
        let released = Mutex::new(released);
        let names = Names::by(move |_| {
            let _ = released.lock().unwrap().recv();
            Ok(Vec::new())
        });
        let since = |names: &Names| lock(&names.state).in_progress["a"].number;
        names.join("a").unwrap();
        names.join("a").unwrap();
        assert_eq!(since(&names), 0);
        let long_ago = real_time().checked_sub(OVERDUE).unwrap();
        lock(&names.state).in_progress.get_mut("a").unwrap().since = long_ago;
        names.join("a").unwrap();
        assert_eq!((since(&names), lock(&names.state).threads), (1, 2));
        drop(release);
    }
}
