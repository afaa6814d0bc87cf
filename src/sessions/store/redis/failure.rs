//! Why a question to Redis has no answer, and what can be done about it.
//!
//! A server's own words repeat what was asked, keys and values among it. So only its error's code is read, and what we say about it is ours.

use redis::{ErrorKind, RedisError};

use super::super::StoreError;

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The connection ended under the question, which may have been answered or not.
    Broken(Box<str>),
    /// The server is not, or no longer, the one that takes writes.
    Replica,
    /// The key is at another node of the cluster, for good (`host:port`).
    Moved(Box<str>),
    /// The key may be at another node, for this question (`host:port`).
    Asking(Box<str>),
    /// Nothing can be done.
    Store(StoreError),
}

impl Failure {
    /// What the caller is told when nothing was done about it.
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Broken(what) => StoreError::Unreachable(what),
            Self::Replica => StoreError::ReadOnly("it is a replica".into()),
            Self::Moved(_) | Self::Asking(_) => {
                StoreError::Answer("it is one node of a cluster; `redis+cluster://` is for those".into())
            }
            Self::Store(error) => error,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        if let (Some((address, _)), code) = (error.redirect_node(), error.code()) {
            let address = address.into();
            return if code == Some("ASK") { Self::Asking(address) } else { Self::Moved(address) };
        }
        match error.code() {
            Some(code) => refused_by_server(code, error.detail().unwrap_or_default()),
            // Its cause is the system's or the TLS library's, and neither has seen the question.
            None if error.kind() == ErrorKind::Io => Self::Broken(error.to_string().into()),
            // Cut off in the middle, or no Redis at all: what comes behind it cannot be told from an answer.
            None if error.kind() == ErrorKind::Parse => Self::Broken("an answer that cannot be read".into()),
            None => answer("an answer that is none"),
        }
    }
}

/// What a server's error means. `detail` is looked through for words we know and never repeated.
fn refused_by_server(code: &str, detail: &str) -> Failure {
    let unreachable = |what: &str| StoreError::Unreachable(what.into()).into();
    let refused = |what: &str| StoreError::Refused(what.into()).into();
    let read_only = |what: &str| StoreError::ReadOnly(what.into()).into();
    match code {
        "NOAUTH" => refused("it wants a password"),
        "WRONGPASS" => refused("the user or the password is wrong"),
        "NOPERM" => match command_in(detail) {
            Some(command) => refused(&format!("the user may not use the command `{command}`")),
            None => refused("the user may not use our keys"),
        },
        "DENIED" => refused("it is in protected mode and takes nobody from outside"),
        "OOM" => read_only("it is full"),
        "READONLY" => Failure::Replica,
        "MISCONF" => read_only("it cannot write to its disk"),
        "NOREPLICAS" => read_only("it has too few replicas"),
        "CLUSTERDOWN" => read_only("the cluster is down, or nobody serves the key"),
        "LOADING" => unreachable("it is loading its data"),
        "MASTERDOWN" => unreachable("it has lost its primary"),
        "BUSY" => unreachable("it is busy with a script"),
        "TRYAGAIN" => unreachable("the key is on its way to another node"),
        "WRONGTYPE" => answer("something else stands under our key"),
        // Redis 6 wraps what went wrong in a script.
        "ERR" if detail.starts_with("Error running script") => {
            let known = ["OOM", "READONLY", "MISCONF", "NOPERM", "NOREPLICAS"];
            let inner = known.into_iter().find(|code| detail.contains(&format!("-{code} ")));
            inner.map_or_else(|| answer("a script failed"), |code| refused_by_server(code, detail))
        }
        "ERR" if detail.contains("ACL failure in script") => refused_by_server("NOPERM", detail),
        // Redis 7.0 does not say which.
        "ERR" if detail.starts_with("The user executing the script can't run") => {
            refused("the user may not use a command in our scripts")
        }
        "ERR" if detail.starts_with("The user executing the script can't access") => {
            refused("the user may not use our keys")
        }
        "ERR" if detail.starts_with("max number of clients") => unreachable("it has too many clients"),
        "ERR" if detail.contains("without any password configured") => refused("it has no password for this user"),
        "ERR" if detail.starts_with("DB index") => answer("it has no database of that number"),
        "ERR" if detail.starts_with("unknown command") => answer("it does not know a command; Redis 6.2 is needed"),
        "ERR" if detail.starts_with("SELECT is not allowed") => answer("a cluster has no database but 0"),
        _ => answer("an error that we do not know"),
    }
}

fn answer(what: &str) -> Failure {
    StoreError::Answer(what.into()).into()
}

/// The command in `… to run the 'xadd' command`.
fn command_in(detail: &str) -> Option<&str> {
    let (command, _) = detail.split_once("to run the '")?.1.split_once('\'')?;
    let is_name = |b: u8| b.is_ascii_alphabetic() || b == b'|';
    (!command.is_empty() && command.len() <= 32 && command.bytes().all(is_name)).then_some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(answer: &str) -> String {
        let value = redis::parse_redis_value(answer.as_bytes()).unwrap();
        format!("{:?}", Failure::from(value.extract_error().unwrap_err()))
    }

    #[test]
    fn an_error_is_known_by_its_code() {
        for (answer, expected) in [
            ("-NOAUTH Authentication required.", "Store(Refused(\"it wants a password\"))"),
            ("-WRONGPASS invalid username-password pair or user is disabled.", "Store(Refused(\"the user or"),
            ("-NOPERM this user has no permissions to run the 'xadd' command", "the command `xadd`"),
            ("-NOPERM User alice has no permissions to run the 'cluster|slots' command", "the command `cluster|slots`"),
            (
                "-NOPERM this user has no permissions to access one of the keys used as arguments",
                "may not use our keys",
            ),
            ("-OOM command not allowed when used memory > 'maxmemory'.", "Store(ReadOnly(\"it is full\"))"),
            ("-MISCONF Redis is configured to save RDB snapshots", "Store(ReadOnly("),
            ("-READONLY You can't write against a read only replica.", "Replica"),
            ("-NOREPLICAS Not enough good replicas to write.", "Store(ReadOnly("),
            ("-CLUSTERDOWN Hash slot not served", "Store(ReadOnly("),
            ("-LOADING Redis is loading the dataset in memory", "Store(Unreachable("),
            ("-ERR max number of clients reached", "Store(Unreachable("),
            ("-ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed", "Store(ReadOnly("),
            ("-ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write", "Replica"),
            ("-ERR Error running script (call to f_1): @user_script:1: hunter2", "Store(Answer(\"a script failed\"))"),
            ("-ERR ACL failure in script: User x has no permissions to run the 'xadd' command", "the command `xadd`"),
            (
                "-ERR The user executing the script can't run this command or subcommand script: 4b, on @user_script:1.",
                "in our scripts",
            ),
            (
                "-ERR The user executing the script can't access at least one of the keys mentioned script: 6a",
                "not use our keys",
            ),
            ("-MOVED 3999 127.0.0.1:6381", "Moved(\"127.0.0.1:6381\")"),
            ("-ASK 3999 127.0.0.1:6381", "Asking(\"127.0.0.1:6381\")"),
        ] {
            let told = told(&format!("{answer}\r\n"));
            assert!(told.contains(expected), "{answer}: {told}");
        }
    }

    #[test]
    fn a_servers_words_are_not_repeated() {
        for answer in [
            "-ERR unknown command 'XADD', with args beginning with: 'hunter2' 'hunter2'",
            "-ERR hunter2",
            "-HUNTER hunter2",
            "-NOPERM User hunter2 has no permissions to run the 'hunter2' command",
            "-ERR Error running script: hunter2",
            "-WRONGTYPE hunter2",
        ] {
            let told = told(&format!("{answer}\r\n"));
            assert!(!told.contains("hunter2"), "{answer}: {told}");
        }
    }
}
