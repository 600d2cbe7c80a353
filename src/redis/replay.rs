//! Redis or Valkey as a store of used proofs.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::Value;

use super::connection::{Connection, source_error};
use super::evictions::{Evictions, Seen};
use crate::clock::{Clock as _, SystemClock};
use crate::config_error::ConfigError;
use crate::flight::{self, Ended, Flights, Waiter};
use crate::replay::{Insertion, ReplayStore, UsedProof};
use crate::runtime;
use crate::source_error::SourceError;

/// The deadline for reading `INFO`. It is the same as the time for which a request waits for the
/// store.
const LOOK_DEADLINE: Duration = Duration::from_secs(1);

/// The key of the start of the data set, in milliseconds since the epoch. All keys have the same
/// hash tag, so that they are in one slot of a cluster.
const SINCE: &str = "{tower-resource-server:replay}:since";

/// The prefix of the key of each proof. The 32 octets of the proof's id follow.
const PROOF: &str = "{tower-resource-server:replay}:proof:";

/// The latest time in milliseconds, in the year 5138. A later time is not used: it would make all
/// proofs count as forgotten, and Lua's numbers are doubles. A clock that was set to before 1970
/// can be read as such a time.
const MAX_MILLIS: u64 = 100_000_000_000_000;

/// How far the start of the data set may be ahead of this server's clock, in milliseconds, before
/// this is reported as a problem. If clocks differ by more, good proofs fail as well.
const MAX_AHEAD: u64 = 60_000;

/// Inserts a proof. Returns 1 if it is new, and 0 if it is known. If the data set may have started
/// after the proof was used, returns that start.
///
/// `ARGV[4]` is 1 if the server did not know the script. Then the server was restarted, or another
/// server replaced it. It may have lost the latest proofs although it still has the key with the
/// start, from a snapshot or as a replica that lagged. So the start is set to the present, in the
/// same step in which the server learns the script. The start never moves back.
const SCRIPT: &str = "\
local since = redis.call('GET', KEYS[1])
if not since or ARGV[4] == '1' then
  local time = redis.call('TIME')
  local now = math.max(time[1] * 1000 + math.floor(time[2] / 1000) + 1, tonumber(ARGV[2]))
  if since then now = math.max(now, tonumber(since)) end
  since = string.format('%.0f', now)
  redis.call('SET', KEYS[1], since)
end
if redis.call('GET', KEYS[2]) then return 0 end
if tonumber(ARGV[1]) < tonumber(since) then return since end
redis.call('SET', KEYS[2], '', 'PX', ARGV[3])
return 1
";

/// The name under which Redis keeps the script after its first use.
const SCRIPT_SHA1: &str = "0017073d6f1a47f0959c58dc9ef47ec598409b91";

/// Redis or Valkey, for [`Replay::store`](crate::sender::Replay::store). The servers of an API share
/// the used DPoP proofs, so that each proof can be used only once at all of them (RFC 9449 §11.1).
///
/// It needs Redis 7 or newer, or Valkey. All servers with the same Redis and database share the
/// proofs. All calls share one connection, as for
/// [`RedisStore`](crate::introspection::RedisStore). `Debug` shows the address, never a password.
/// Redis needs one setting, and a user with these rights is enough:
///
/// ```text
/// maxmemory-policy noeviction
///
/// ACL SETUSER notes-api on >password ~{tower-resource-server:replay}:* \
///     +evalsha +eval +get +set +time +info
/// ```
///
/// **Evictions.** A Redis that evicts keys forgets used proofs. So each policy other than
/// `noeviction` is a problem, even if memory is not limited. Use a separate Redis for the proofs: a
/// cache needs another policy, and Redis may drop the script of this crate if other programs use
/// hundreds of scripts. While requests arrive, a background task reads `INFO memory` and `INFO
/// stats` at least every 10 s. A request waits for this task only if the last result is older than
/// 10 s, or if there is none. So evictions are noticed **within 10 s**. In this time an evicted
/// proof could be used once more. Requests with a proof are refused with 503 while the policy is
/// wrong, and if there is no result of `INFO` from the last 10 s. When the policy is right again,
/// the store works again without a restart. It then refuses each proof that can have been used
/// before that moment. A server that finds `evicted_keys` above zero when it starts refuses such
/// proofs, too. `CONFIG RESETSTAT` sets this counter to zero.
///
/// **Memory.** A proof takes some 200 octets for its lifetime, which is 75 s to 90 s with the
/// default ages, and up to 135 s with nonces. Without nonces, 13,000 requests a second need up to
/// 240 MB. If Redis is full, it refuses to write, and requests with a proof are refused with 503.
/// The store in the process limits how many proofs one client can store. This store does not, so
/// apply a rate limit per client before requests reach this layer.
///
/// **Settings.** All servers with the same public URL and the same Redis need the same ages and the
/// same nonces. Otherwise, a server may accept a used proof that another server stored for a
/// shorter time.
///
/// **Lost data.** Persistence is not needed. Redis also stores the time since which it has data. A
/// proof that can have been used before that time is refused ([`Insertion::Forgotten`]). The next
/// call sets that time to the present if the data is gone (a restart, `FLUSHALL`, an empty
/// replica), or if Redis does not know the script of this crate (a restart from a snapshot, a
/// replica that was promoted, `SCRIPT FLUSH`). This is one atomic step. For 15 s after it, every
/// proof without a nonce is refused, because a client's clock may be ahead by that time. The same
/// holds for the first 15 s of a new Redis. With nonces, clients are asked for a nonce and
/// continue. Redis before version 7 stores scripts in snapshots and sends them to replicas, so the
/// second kind of loss would not be noticed.
///
/// **Replicas.** Redis confirms a write before its replicas have it, and `WAIT` is not used. So the
/// last proofs are lost if a replica that lags is promoted. A replica that never ran the script
/// does not know it, so the loss is noticed. But if the replica was the primary earlier, it knows
/// the script, and the lost proofs can be used once more. If two primaries accept writes at the
/// same time (a network partition), a proof can be used once at each.
///
/// **Clocks.** Each server judges the age of a proof by its own clock. Redis drops the proof after
/// its lifetime, by the clock of Redis. If that clock is set ahead, proofs are dropped earlier by
/// that time. The start of the data is the time of Redis or the time of the server that sets it,
/// whichever is later. If the later clock was far ahead, proofs are refused until the real time has
/// reached that start, and [`problem`](ReplayStore::problem) reports it. Then correct the clock,
/// wait for 2 minutes, and delete the key `{tower-resource-server:replay}:since`. A nonce has the
/// time of the server that made it. If the clock of that server is ahead of the others, a proof
/// with the nonce counts as made that much later, and can pass once more if Redis loses its data
/// within that time. So keep the differences between the clocks within some milliseconds.
///
/// **Retries.** If a connection breaks before Redis answers, the call is repeated on a new
/// connection, and may find the proof that it has stored itself. So a good request can be refused,
/// but no proof is accepted twice. The client then tries again with a new proof.
///
/// ```
/// use tower_resource_server::sender::{RedisReplay, Replay};
///
/// # fn main() -> Result<(), tower_resource_server::ConfigError> {
/// let store = RedisReplay::new("rediss://notes-api:password@redis.example.com:6379")?;
/// assert!(format!("{store:?}").contains("redis.example.com:6379"));
/// assert!(!format!("{store:?}").contains("password"));
/// let replay = Replay::store(store);
/// # let _ = replay;
/// # Ok(())
/// # }
/// ```
pub struct RedisReplay {
    connection: Arc<Connection>,
    watch: Arc<Mutex<Watch>>,
    accepts_evictions: bool,
    /// The start of the data set in milliseconds, if it is far ahead of the clock and a proof was
    /// refused because of it. 0 otherwise.
    ahead: AtomicU64,
    clock: SystemClock,
}

#[derive(Debug)]
struct Watch {
    evictions: Evictions,
    looks: Flights<(), Result<(), String>>,
}

impl RedisReplay {
    /// Uses the server at a URL such as `rediss://user:password@host:6379/0`, with TLS, or
    /// `redis://`, without TLS. Use the latter only in a network where nobody can read the
    /// password. The server's certificate is checked against the system's root certificates. This
    /// function does not connect.
    ///
    /// # Errors
    /// When the URL is invalid, or when the system has no root certificates for TLS.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        Self::with_root_certificates(url, "")
    }

    /// The same, with additional root certificates (PEM).
    ///
    /// # Errors
    /// As for [`new`](Self::new), or when `pem` does not hold PEM certificates.
    pub fn with_root_certificates(url: &str, pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let connection = Arc::new(Connection::new("RedisReplay", url, pem.as_ref())?);
        let watch = Watch { evictions: Evictions::default(), looks: Flights::new(LOOK_DEADLINE) };
        Ok(Self {
            connection,
            watch: Arc::new(Mutex::new(watch)),
            accepts_evictions: false,
            ahead: AtomicU64::new(0),
            clock: SystemClock::new(),
        })
    }

    /// Switches the check for evictions off.
    pub(crate) fn accept_evictions(mut self) -> Self {
        self.accepts_evictions = true;
        self
    }

    /// Fails unless a look at most 10 s ago found that Redis evicts nothing. Waits only if there
    /// was no look in that time.
    async fn evicts_nothing(&self) -> Result<(), SourceError> {
        let now = self.clock.monotonic();
        let (verdict, due) = {
            let evictions = &self.watch().evictions;
            (evictions.verdict(now), evictions.is_due(now))
        };
        let look = due.then(|| self.look(now));
        let verdict = match (verdict, look) {
            (Some(verdict), _) => verdict,
            (None, Some(look)) => {
                let outcome = look.map_err(SourceError::new)?.outcome().await;
                outcome.unwrap_or_else(|| Err("the check for evictions was given up".to_owned()))
            }
            (None, None) => Err("evictions were not checked for".to_owned()),
        };
        verdict.map_err(SourceError::new)
    }

    /// Joins the look in progress, or begins one. The look is a task that no caller can cancel.
    fn look(&self, now: Duration) -> Result<Waiter<Result<(), String>>, &'static str> {
        let runtime = runtime::current().map_err(runtime::Unfit::problem)?;
        let (completion, waiter) = {
            let mut watch = self.watch();
            if let Some(waiter) = watch.looks.join(&(), now) {
                return Ok(waiter);
            }
            watch.looks.begin((), now)
        };
        let connection = Arc::clone(&self.connection);
        let work = async move { info(&connection).await };
        let watch = Arc::downgrade(&self.watch);
        flight::launch(&runtime, LOOK_DEADLINE, work, move |ended| {
            let Some(watch) = watch.upgrade() else { return };
            let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
            watch.looks.complete(&(), &completion);
            // This says nothing about the server. The next caller tries again.
            if ended == Ended::Gone {
                return;
            }
            let outcome = match ended.done().map_err(str::to_owned).and_then(|seen| seen) {
                Ok(seen) => watch.evictions.saw(now, seen),
                Err(problem) => watch.evictions.failed(problem),
            };
            drop(watch);
            completion.send(outcome);
        });
        Ok(waiter)
    }

    /// Runs the script for a proof.
    async fn run(&self, proof: &UsedProof, times: [u64; 3]) -> Result<Value, SourceError> {
        let key = [PROOF.as_bytes(), proof.id()].concat();
        let call = |name: &str, script: &str, lost: u8| {
            let mut command = redis::cmd(name);
            command.arg(script).arg(2).arg(SINCE).arg(&key).arg(&times).arg(lost);
            command
        };
        let done = match self.connection.run(&call("EVALSHA", SCRIPT_SHA1, 0)).await {
            Err(error) if error.code() == Some("NOSCRIPT") => {
                self.connection.run(&call("EVAL", SCRIPT, 1)).await
            }
            done => done,
        };
        done.map_err(source_error)
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReplayStore for RedisReplay {
    async fn insert_if_absent(&self, proof: &UsedProof) -> Result<Insertion, SourceError> {
        // `earliest` is rounded down. `now` and `lifetime` are rounded up, so that the start of the
        // data set is not before the loss, and the lifetime is not too short.
        let earliest = u64::try_from(proof.earliest().as_millis()).unwrap_or(u64::MAX);
        let (now, lifetime) = (millis(proof.now()), millis(proof.lifetime()));
        if earliest.max(now).max(lifetime) > MAX_MILLIS {
            return Err(SourceError::new("the clock or the lifetime is beyond the year 5000"));
        }
        if !self.accepts_evictions {
            self.evicts_nothing().await?;
            if self.watch().evictions.may_have_evicted(proof.earliest(), proof.now()) {
                return Ok(Insertion::Forgotten);
            }
        }
        let (insertion, ahead) = match self.run(proof, [earliest, now, lifetime]).await? {
            Value::Int(1) => (Insertion::New, 0),
            Value::Int(0) => return Ok(Insertion::Known),
            Value::BulkString(since) => {
                let since = std::str::from_utf8(&since).ok().and_then(|text| text.parse().ok());
                let since = since.filter(|since: &u64| *since > now.saturating_add(MAX_AHEAD));
                (Insertion::Forgotten, since.unwrap_or(0))
            }
            _ => return Err(SourceError::new("the server's answer is not one of the script")),
        };
        self.ahead.store(ahead, Ordering::Relaxed);
        Ok(insertion)
    }

    fn problem(&self) -> Option<String> {
        let ahead = self.ahead.load(Ordering::Relaxed);
        let wall = u64::try_from(self.clock.wall().as_millis()).unwrap_or(u64::MAX);
        let ahead = (ahead > wall.saturating_add(MAX_AHEAD)).then(|| {
            format!(
                "the data in Redis begins in the future, at {ahead} ms since the epoch: a clock was \
                 ahead; correct it, wait for 2 minutes and delete {SINCE}"
            )
        });
        if self.accepts_evictions {
            return ahead;
        }
        let now = self.clock.monotonic();
        let (problem, due) = {
            let evictions = &self.watch().evictions;
            (evictions.problem(now), evictions.is_due(now))
        };
        if due {
            // Without a runtime, the server can't be asked. Then the last known problem is
            // reported.
            let _ = self.look(now);
        }
        problem.or(ahead)
    }
}

/// Reads what `INFO` says about evictions.
async fn info(connection: &Connection) -> Result<Seen, String> {
    let mut sections = [String::new(), String::new()];
    for (section, name) in sections.iter_mut().zip(["memory", "stats"]) {
        let answer = connection.run(redis::cmd("INFO").arg(name)).await;
        *section = match answer.map_err(|error| source_error(error).into_problem())? {
            Value::BulkString(text) => String::from_utf8_lossy(&text).into_owned(),
            Value::VerbatimString { text, .. } | Value::SimpleString(text) => text,
            _ => return Err("the server's answer is not a text".to_owned()),
        };
    }
    let [memory, stats] = sections;
    Seen::parse(&memory, &stats)
}

/// Milliseconds, rounded up.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

impl fmt::Debug for RedisReplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connection.describe(f.debug_struct("RedisReplay"))
    }
}

#[cfg(test)]
mod tests;
