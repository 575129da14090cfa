//! What the commands that talk to a hub end with when they fail, and the exit code for it.

use std::process::ExitCode;

use tidewire_client::{Client, Code, Fault, NoConnection, PublishError, sentence};
use tidewire_protocol::client_frame::Terms;
use tidewire_protocol::name::TopicName;

use crate::command::naming::{bad_selector, bad_topic};

/// The exit codes, for the help of each command. Scripts decide by them: they stay as they are.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    anything not named here
  2    wrong arguments, or a message that is not what --content says
  3    no hub: none answered in time, or what answers is none (HTTP 200 or 404, anything else) or not trusted
  4    the hub, or a proxy before it, refused the connection, the name or a message
  130  interrupted";

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// What the user gave is wrong.
    #[error("{0}")]
    Input(String),
    /// What the user gave cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// No hub answers.
    #[error("{0}")]
    NoHub(String),
    /// The hub said no.
    #[error("{0}")]
    Refused(String),
}

impl Failure {
    /// Refuses what no hub takes as a topic to publish to.
    pub(crate) fn check_topic(name: &str) -> Result<(), Self> {
        match TopicName::parse(name) {
            Ok(topic) if topic.is_reserved() => Err(Self::Refused(format!(
                "{name}: topics whose names begin with `$` are reserved: the hub alone publishes to them"
            ))),
            Ok(_) => Ok(()),
            Err(_) => Err(Self::Refused(format!("{name}: {}", bad_topic(name)))),
        }
    }

    /// A message of this size was not published to a topic.
    pub(crate) fn unpublished(
        what: &str,
        error: &PublishError,
        (topic, size): (&str, usize),
        client: &Client,
    ) -> Self {
        let mut told = match error {
            PublishError::Refused(Code::BadName) => format!("{what}: {}", bad_topic(topic)),
            PublishError::LargerThanOutbox => {
                format!("{what}: its {size} bytes are more than this command keeps at once")
            }
            error => format!("{what}: {error}"),
        };
        if *error == PublishError::Refused(Code::TooLarge) {
            told.push_str(&format!("; it has {size} bytes"));
            if let Some(max) = client.message_bytes_max() {
                told.push_str(&format!(
                    ", and the hub takes {max} (`message_bytes_max`, of its limits or of the token's)"
                ));
            }
        }
        match error {
            PublishError::NotJson(_) | PublishError::LargerThanOutbox | PublishError::OutboxFull => {
                Self::Input(told)
            }
            PublishError::BadMessage(_) => Self::Input(told),
            PublishError::Refused(_) | PublishError::ConditionFailed { .. } => Self::Refused(told),
            PublishError::Cancelled | PublishError::Expired | PublishError::Closed => Self::NoHub(told),
        }
    }

    /// The same of a message that was published on these terms: what is not supported may be one of them.
    pub(crate) fn on_terms(
        terms: Terms,
        what: &str,
        error: &PublishError,
        message: (&str, usize),
        client: &Client,
    ) -> Self {
        match terms.unsupported().filter(|_| *error == PublishError::Refused(Code::NotSupported)) {
            Some(why) => Self::Refused(format!("{what}: {why}")),
            None => Self::unpublished(what, error, message, client),
        }
    }

    /// A message of this size is larger than the hub takes, as far as it has said what it takes.
    pub(crate) fn too_large(what: &str, (topic, size): (&str, usize), client: &Client) -> Option<Self> {
        client.message_bytes_max().filter(|max| size as u64 > *max)?;
        Some(Self::unpublished(what, &PublishError::Refused(Code::TooLarge), (topic, size), client))
    }

    /// The same, of something.
    pub(crate) fn of(self, what: &str) -> Self {
        self.told(|told| format!("{what}: {told}"))
    }

    /// The same, and something else.
    pub(crate) fn and(self, more: &str) -> Self {
        self.told(|told| format!("{told}; {more}"))
    }

    fn told(self, tell: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Input(told) => Self::Input(tell(told)),
            Self::Unreadable(told) => Self::Unreadable(tell(told)),
            Self::NoHub(told) => Self::NoHub(tell(told)),
            Self::Refused(told) => Self::Refused(tell(told)),
        }
    }

    /// Nothing is read of this topic or pattern.
    pub(crate) fn unread(name: &str, fault: Fault) -> Self {
        match fault {
            Fault::Protocol(Code::BadName) => Self::Refused(format!("{name}: {}", bad_selector(name))),
            fault => Self::Refused(format!("{name}: {}", sentence(fault))),
        }
    }

    /// There was no connection, and nothing is waited for any more.
    pub(crate) fn unconnected(told: String, why: Option<&NoConnection>) -> Self {
        match why {
            // Whoever answers in HTTP may be anybody.
            Some(why) if matches!(why.code(), "no_hub" | "wrong_path") => Self::NoHub(told),
            Some(NoConnection::Refused { .. } | NoConnection::Goodbye { .. }) => Self::Refused(told),
            Some(
                NoConnection::NameNotResolved { .. }
                | NoConnection::ConnectionRefused { .. }
                | NoConnection::Unreachable { .. }
                | NoConnection::Untrusted { .. }
                | NoConnection::NoHub { .. }
                | NoConnection::Lost(_),
            )
            | None => Self::NoHub(told),
        }
    }

    const fn code(&self) -> u8 {
        match self {
            Self::Unreadable(_) => 1,
            Self::Input(_) => 2,
            Self::NoHub(_) => 3,
            Self::Refused(_) => 4,
        }
    }
}

/// The exit code of a command that failed.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    error.downcast_ref::<Failure>().map_or(ExitCode::FAILURE, |failure| ExitCode::from(failure.code()))
}
