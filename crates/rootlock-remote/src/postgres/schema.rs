//! The tables: made by whoever comes first.

use std::io::ErrorKind;

use super::connect::{Connection, row};
use super::sql;
use crate::fault::Fault;

const MAKE: &str = "make_tables";

/// What to do where a user may not do what is needed.
pub(crate) const RIGHTS: &str = "\
have an administrator run, with your user's name for `app`:
GRANT USAGE ON SCHEMA rootlock TO app;
GRANT SELECT, INSERT, UPDATE ON rootlock.lock, rootlock.memory TO app;";

/// Makes the tables if they are missing. Any number may do so at once: an advisory lock keeps them in order,
/// because `IF NOT EXISTS` alone does not.
pub(crate) async fn make_tables(connection: &Connection) -> Result<(), Fault> {
    if has_tables(connection).await? {
        return Ok(());
    }
    let make = format!("{};\n{}\nCOMMIT", sql::BEGIN_TABLES, sql::TABLES);
    let Err(failure) = connection.ask(MAKE, &make).await else { return Ok(()) };
    let fault = failure.into_fault(MAKE);
    // The transaction is over either way.
    let _ = connection.ask(MAKE, "ROLLBACK").await;
    if fault.passes {
        return Err(fault);
    }
    // Somebody with more rights may have made them meanwhile.
    if has_tables(connection).await? {
        return Ok(());
    }
    Err(Fault::new(
        MAKE,
        ErrorKind::PermissionDenied,
        format!(
            "the tables are missing, and can't be made ({}); have an administrator run, with your user's name \
             for `app`:\n{}\n{}",
            fault.words().split(": ").next().unwrap_or_default(),
            sql::TABLES,
            sql::GRANTS
        ),
    ))
}

async fn has_tables(connection: &Connection) -> Result<bool, Fault> {
    let answer =
        connection.ask(MAKE, sql::HAS_TABLES).await.map_err(|failure| failure.into_fault(MAKE))?;
    Ok(row(&answer).and_then(|row| row.get("there")) == Some("t"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_messages_name_the_same_rights() {
        assert!(RIGHTS.ends_with(sql::GRANTS));
    }
}
