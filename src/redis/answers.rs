//! Redis or Valkey as a store of shared answers.

use std::fmt;
use std::time::Duration;

use redis::Value;

use super::connection::{Connection, source_error};
use crate::config_error::ConfigError;
use crate::introspection::AnswerStore;
use crate::introspection::MAX_VALUE;
use crate::source_error::SourceError;

/// Redis or Valkey, for [`SharedCache`](crate::introspection::SharedCache).
///
/// It uses `GETRANGE` and `SET` with keys that begin with `tower-resource-server:introspection:`.
/// It also uses a script (`EVALSHA`, `EVAL`) that runs only these two commands, because comparing
/// and writing must be one atomic step. A user with only these rights is enough:
///
/// ```text
/// ACL SETUSER notes-api on >password ~tower-resource-server:introspection:* \
///     +getrange +set +evalsha +eval
/// ```
///
/// Values expire after `cache_ttl` at the latest. If stale answers are accepted, "inactive" answers
/// are kept longer by the time for stale answers. A Redis that is used only for caches should evict
/// the least recently used values (`maxmemory-policy allkeys-lru`). All calls share one connection,
/// which is made at the first call, and again after it breaks. A background task connects, within
/// 5 s. A request waits for the connection and the answer together for at most 250 ms. `Debug`
/// shows the address, never a password.
///
/// ```
/// use tower_resource_server::introspection::{ClientAuth, Introspection, RedisStore, SharedCache};
///
/// # fn main() -> Result<(), tower_resource_server::ConfigError> {
/// # let secret = [7; 32];
/// let store = RedisStore::new("rediss://notes-api:password@redis.example.com:6379")?;
/// let introspection = Introspection::new(ClientAuth::client_secret_basic("notes-api", "secret"))
///     .shared_cache(SharedCache::new(store, secret)?);
/// # let _ = introspection;
/// # Ok(())
/// # }
/// ```
pub struct RedisStore {
    connection: Connection,
}

/// The number of octets before each value in Redis: its version, big endian.
const VERSION: usize = 8;

/// Writes a value unless the stored value has the same version or a higher one. Versions are
/// compared octet by octet, because Lua's numbers are doubles, and Lua compares text by the locale.
/// A stored value that is too short or of another type is not from this crate, and is replaced.
const SCRIPT: &str = "\
local known = redis.pcall('GETRANGE', KEYS[1], 0, 7)
if type(known) == 'table' then
  if not string.find(known.err or '', 'WRONGTYPE', 1, true) then return known end
elseif #known == 8 then
  local newer = false
  for i = 1, 8 do
    local old, new = string.byte(known, i), string.byte(ARGV[1], i)
    if old ~= new then
      newer = new > old
      break
    end
  end
  if not newer then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'PX', ARGV[3])
return 1
";

/// The name under which Redis keeps the script after its first use.
const SCRIPT_SHA1: &str = "34b4fd8d1f2387fda500044bfdfc23f85fb50564";

impl RedisStore {
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
        Ok(Self { connection: Connection::new("RedisStore", url, pem.as_ref())? })
    }
}

impl AnswerStore for RedisStore {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, SourceError> {
        // Reads at most the largest possible value. For a missing key, Redis returns an empty text.
        let mut command = redis::cmd("GETRANGE");
        command.arg(key).arg(0).arg(VERSION + MAX_VALUE);
        match self.connection.run(&command).await.map_err(source_error)? {
            // Skip the version: it is not sealed, so anyone who can write to Redis can set it.
            Value::BulkString(mut stored) => {
                let value = stored.split_off(stored.len().min(VERSION));
                Ok(Some(value).filter(|_| !stored.is_empty()))
            }
            Value::Nil => Ok(None),
            _ => Err(SourceError::new("the server's answer is not a value")),
        }
    }

    async fn put_if_newer(
        &self,
        key: &str,
        version: u64,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<(), SourceError> {
        let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        let call = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script).arg(1).arg(key);
            command.arg(version.to_be_bytes().as_slice()).arg(value.as_slice()).arg(millis);
            command
        };
        let done = match self.connection.run(&call("EVALSHA", SCRIPT_SHA1)).await {
            // A server that was restarted does not know the script. `EVAL` makes it known.
            Err(error) if error.code() == Some("NOSCRIPT") => {
                self.connection.run(&call("EVAL", SCRIPT)).await
            }
            done => done,
        };
        done.map(drop).map_err(source_error)
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connection.describe(f.debug_struct("RedisStore"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_has_the_name_by_which_it_is_called() {
        let digest = aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
            SCRIPT.as_bytes(),
        );
        let name: String = digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(name, SCRIPT_SHA1);
    }

    #[test]
    fn urls_are_checked_and_passwords_are_not_shown() {
        for (url, shown) in [
            ("redis://127.0.0.1", Some("127.0.0.1:6379")),
            ("redis://user:hunter2@redis.example.com:7000/2", Some("redis.example.com:7000")),
            ("rediss://user:hunter2@redis.example.com", Some("redis.example.com:6379")),
            ("valkeys://:hunter2@[::1]:7000", Some("::1:7000")),
            ("rediss://user:hunter2@redis.example.com#insecure", None),
            ("rediss://user:hunter2@", None),
            ("https://user:hunter2@redis.example.com", None),
            ("hunter2", None),
            ("", None),
        ] {
            let built = RedisStore::new(url);
            let text = format!("{built:?}");
            assert!(!text.contains("hunter2"), "{text}");
            match (&built, shown) {
                (Ok(store), Some(shown)) => {
                    assert!(text.contains(&format!("{shown:?}")), "{url}: {text}");
                    let encrypted = url.starts_with("rediss") || url.starts_with("valkeys");
                    assert_eq!(store.connection.is_encrypted(), encrypted, "{url}");
                }
                (Err(_), None) => {}
                _ => panic!("{url}: {text}"),
            }
        }
        for (url, pem) in [("rediss://127.0.0.1", "no PEM"), ("redis://127.0.0.1", "PEM")] {
            let problem = RedisStore::with_root_certificates(url, pem).unwrap_err().to_string();
            assert!(problem.contains("root certificates"), "{problem}");
        }
    }
}
