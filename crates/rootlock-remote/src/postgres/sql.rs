//! Every statement. Names and values are parameters; what is put into the text are this crate's own numbers.

/// The first half of every advisory lock's key: `rtlk` in ASCII, 1920232555. The second is the row's `id`.
#[cfg(test)]
const KEY: i32 = 0x7274_6C6B;

/// Its tables. Run under the advisory lock of the row that there never is.
pub(crate) const TABLES: &str = "\
CREATE SCHEMA IF NOT EXISTS rootlock;
CREATE TABLE IF NOT EXISTS rootlock.lock (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  root text NOT NULL,
  name text NOT NULL,
  token bigint NOT NULL DEFAULT 0,
  instance text NOT NULL DEFAULT '',
  held boolean NOT NULL DEFAULT false,
  stale_ms integer NOT NULL DEFAULT 0,
  record jsonb,
  UNIQUE (root, name)
) WITH (fillfactor = 50);
CREATE UNLOGGED TABLE IF NOT EXISTS rootlock.memory (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  marker text NOT NULL
);";

/// What others than their owner need.
pub(crate) const GRANTS: &str = "\
GRANT USAGE ON SCHEMA rootlock TO app;
GRANT SELECT, INSERT, UPDATE ON rootlock.lock, rootlock.memory TO app;";

pub(crate) const BEGIN_TABLES: &str = "BEGIN; SELECT pg_advisory_xact_lock(1920232555, 0)";

/// Whether its tables are there.
pub(crate) const HAS_TABLES: &str = "\
SELECT to_regclass('rootlock.lock') IS NOT NULL AND to_regclass('rootlock.memory') IS NOT NULL AS there";

/// What every session has. The times are added per lease.
pub(crate) const SETTINGS: &str = "\
SELECT set_config('search_path', 'pg_catalog, pg_temp', false),
  set_config('synchronous_commit',
    CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' WHEN 'local' THEN 'on'
      ELSE current_setting('synchronous_commit') END, false),
  set_config('statement_timeout', '0', false),
  set_config('lock_timeout', '30s', false),
  set_config('default_transaction_isolation', 'read committed', false)";

/// What a session is told of its server.
pub(crate) const SERVER: &str = "\
SELECT pg_backend_pid() AS pid, current_setting('server_version_num') AS number,
  version() AS version, pg_is_in_recovery() AS standby,
  current_setting('transaction_read_only') AS read_only,
  coalesce(current_setting('synchronous_standby_names', true), '') <> '' AS replicated";

/// A server that can notices within half a second that somebody who waits is gone.
pub(crate) const CHECK_CLIENT: &str = "SET client_connection_check_interval = 500";

/// `$1` is T in milliseconds or zero; TCP may not give up before.
pub(crate) const TIMES: &str = "\
SELECT set_config('idle_session_timeout', $1::int4::text, false),
  set_config('tcp_user_timeout', $2::int4::text, false),
  set_config('tcp_keepalives_idle', $3::int4::text, false)";

/// The marker of the server's memory, with the time in milliseconds.
pub(crate) const MARK: &str = "\
INSERT INTO rootlock.memory (marker) VALUES
  (gen_random_uuid()::text || '@' || (extract(epoch FROM clock_timestamp()) * 1000)::int8)
ON CONFLICT DO NOTHING";

/// The name of the server's memory, and since when it has been at most. A crash and a promotion empty the table of the
/// marker; after a clean restart the marker is old, and the start is not.
pub(crate) const INSTANCE: &str = "\
SELECT extract(epoch FROM pg_postmaster_start_time())::text || '/' || marker AS instance,
  greatest((extract(epoch FROM pg_postmaster_start_time()) * 1000)::int8,
    substring(marker FROM '@([0-9]{1,15})$')::int8) AS since
FROM rootlock.memory";

pub(crate) const FIND_ROW: &str = "SELECT id FROM rootlock.lock WHERE root = $1 AND name = $2";

pub(crate) const MAKE_ROW: &str = "\
INSERT INTO rootlock.lock (root, name) VALUES ($1, $2) ON CONFLICT DO NOTHING";

/// Tries the server's lock, and notes in the session whether it has it: `WRITE`, which is sent along, needs
/// it.
pub(crate) const TRY: &str = "\
SELECT set_config('rootlock.locked', (CASE WHEN $2 THEN pg_try_advisory_lock_shared(1920232555, $1)
  ELSE pg_try_advisory_lock(1920232555, $1) END)::text, false) = 'true'";

pub(crate) const WAIT: &str =
    "SELECT pg_advisory_lock(1920232555, $1)::text, set_config('rootlock.locked', 'true', false)";

pub(crate) const WAIT_SHARED: &str = "SELECT pg_advisory_lock_shared(1920232555, $1)::text, set_config('rootlock.locked', 'true', false)";

/// `$1` id, `$2` this instance, `$3` whether another one's leases were sat out, `$4` T, `$5` shared, `$6` record, `$7` since
/// when this instance has been. No row: the session has not got the lock, or the row is gone. If the leases of another
/// instance may be alive, nothing changes but the answer: for how long they may.
pub(crate) const WRITE: &str = "\
WITH it AS MATERIALIZED (
  SELECT id, clock, held AND instance <> $2 AND NOT $3 AND clock < $7 + stale_ms AS waits
  FROM rootlock.lock, (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8 AS clock) AS now
  WHERE id = $1 FOR UPDATE OF lock)
UPDATE rootlock.lock SET
  token = CASE WHEN waits THEN token
    ELSE greatest(token + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::int8) END,
  stale_ms = CASE WHEN waits THEN stale_ms
    WHEN held AND instance = $2 AND $5 THEN greatest(stale_ms, $4) ELSE $4 END,
  record = CASE WHEN waits THEN record
    ELSE $6::text::jsonb || jsonb_build_object('backend', pg_backend_pid(),
      'since', (extract(epoch FROM clock_timestamp()) * 1000)::int8) END,
  instance = CASE WHEN waits THEN instance ELSE $2 END,
  held = true
FROM it
WHERE lock.id = it.id AND current_setting('rootlock.locked', true) = 'true'
RETURNING token, least(stale_ms, greatest($7 + stale_ms - clock, 0))::int4 AS left, NOT waits AS ours";

/// Finds the lock of its own session, and the row that names it: without that, others lock another one. `$1` id.
pub(crate) const BEAT: &str = "\
SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted
  AND classid = 1920232555 AND objid = $1::int8::oid AND objsubid = 2
  AND EXISTS (SELECT FROM rootlock.lock WHERE id = $1::int8::int4)";

/// The same, and a commit for a synchronous standby to confirm.
pub(crate) const BEAT_REPLICATED: &str = "\
UPDATE rootlock.lock SET held = held WHERE id = $1::int8::int4 AND EXISTS (SELECT FROM pg_locks
  WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted
  AND classid = 1920232555 AND objid = $1::int8::oid AND objsubid = 2)
RETURNING 1";

/// The same after a wait that was ended; notes it for `WRITE`. `$1` id.
pub(crate) const FIND_LOCK: &str = "\
SELECT set_config('rootlock.locked', EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory'
  AND pid = pg_backend_pid() AND granted AND classid = 1920232555 AND objid = $1::int8::oid
  AND objsubid = 2)::text, false) = 'true'";

/// A writer's: the row first. All that a crash of the server can make of a release is a quarantine, so it
/// need not be on disk.
pub(crate) const RELEASE: &str = "\
UPDATE rootlock.lock SET held = false WHERE id = $1
RETURNING pg_advisory_unlock(1920232555, $1), set_config('rootlock.locked', 'false', false),
  set_config('synchronous_commit', 'off', true)";

/// A reader's, and that of whoever was not granted the lock.
pub(crate) const UNLOCK: &str = "\
SELECT CASE WHEN $2 THEN pg_advisory_unlock_shared(1920232555, $1)
  ELSE pg_advisory_unlock(1920232555, $1) END, set_config('rootlock.locked', 'false', false)";

/// Since when a session `a` has been silent, in its own words; nothing if it is not, or if this user may not know.
macro_rules! silence {
    () => {
        "CASE WHEN a.state = 'idle' THEN extract(epoch FROM a.backend_start)::text || '/' ||
   extract(epoch FROM a.state_change)::text END"
    };
}

/// The backstop: ends a session that has the lock and has been silent ever since. `$1` its process, `$2` its silence, `$3` id.
pub(crate) const END: &str = concat!(
    "\
SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a
WHERE a.pid = $1 AND ",
    silence!(),
    " = $2 AND EXISTS (
  SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'advisory' AND l.granted
   AND l.classid = 1920232555 AND l.objid = $3::int8::oid AND l.objsubid = 2)"
);

/// Who has a lock, and the record of the last grant. `$1` root, `$2` name.
pub(crate) const LOOK: &str = concat!(
    "\
WITH it AS (SELECT * FROM rootlock.lock WHERE root = $1 AND name = $2),
 locks AS (SELECT l.pid, l.mode = 'ShareLock' AS shared, l.granted,
   extract(epoch FROM clock_timestamp() - a.state_change) AS age, a.application_name AS application,
   ",
    silence!(),
    " AS silence
  FROM it JOIN pg_locks l ON l.locktype = 'advisory' AND l.classid = 1920232555 AND l.objid = it.id::int8::oid
   AND l.objsubid = 2 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  LEFT JOIN pg_stat_activity a ON a.pid = l.pid)
SELECT it.token, it.stale_ms, it.record->>'pid' AS pid, it.record->>'host' AS host,
  it.record->>'command' AS command, it.record->>'process' AS process, it.record->>'since' AS since,
  it.record->>'heartbeat' AS heartbeat, it.record->>'backend' AS backend, it.record->>'ends' AS ends,
  locks.pid AS locker, locks.shared, locks.granted, locks.age::float8 AS age, locks.application, locks.silence
FROM it LEFT JOIN locks ON true ORDER BY locks.granted DESC, locks.pid"
);

/// For a person.
pub(crate) const FACTS: &str = "\
SELECT current_setting('server_version') AS version,
  current_setting('synchronous_commit') AS synchronous_commit,
  current_setting('client_connection_check_interval') AS check_interval,
  current_setting('synchronous_standby_names') AS standbys,
  current_setting('fsync') AS fsync,
  current_setting('max_connections') AS connections,
  (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now";

/// Whether a session's advisory lock keeps another one out: `$1` is a number that only one opening uses.
pub(crate) const PROVE: &str = "SELECT pg_try_advisory_lock(1920232555, $1)";

pub(crate) const UNPROVE: &str = "SELECT pg_advisory_unlock(1920232555, $1)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_has_the_one_key() {
        let key = KEY.to_string();
        for sql in [
            BEGIN_TABLES,
            TRY,
            WAIT,
            WAIT_SHARED,
            BEAT,
            BEAT_REPLICATED,
            FIND_LOCK,
            RELEASE,
            UNLOCK,
            END,
            LOOK,
            PROVE,
            UNPROVE,
        ] {
            assert!(sql.contains(&key), "{sql}");
        }
        assert_eq!(KEY.to_be_bytes(), *b"rtlk");
    }
}
