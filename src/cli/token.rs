//! `token`: makes, shows and ends API tokens.

use std::fmt::Write;

use clap::{Subcommand, ValueEnum, value_parser};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Failure, print, say};
use crate::{
    app::{
        self, Role,
        tokens::{self, Info},
    },
    db::Db,
    domain,
};

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Makes a token and prints it, this once.
    Create {
        /// What it allows.
        #[arg(long)]
        role: RoleArg,
        /// Tells it from others; may not have been used before.
        #[arg(long)]
        name: String,
        /// Ends by itself after so many days.
        #[arg(long, value_parser = value_parser!(u32).range(1..=3650))]
        expires_days: Option<u32>,
    },
    /// Shows all tokens, without the tokens themselves.
    List,
    /// Ends a token; takes effect within seconds.
    Revoke {
        /// Which.
        #[arg(long)]
        name: String,
    },
}

/// Roles that a token can have; customers sign in at the shop instead.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum RoleArg {
    /// Everything.
    Operator,
    /// Buys and manages on behalf of the user it names.
    Storefront,
    /// Records Stripe's events.
    Gateway,
    /// Reads.
    Viewer,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Operator => Self::Operator,
            RoleArg::Storefront => Self::Storefront,
            RoleArg::Gateway => Self::Gateway,
            RoleArg::Viewer => Self::Viewer,
        }
    }
}

impl Token {
    pub(super) async fn run(self, db: &Db) -> Result<(), Failure> {
        match self {
            Self::Create {
                role,
                name,
                expires_days,
            } => {
                let role = Role::from(role);
                let token = tokens::create(db, role, &name, expires_days)
                    .await
                    .map_err(describe)?;
                print(&token)?;
                say(&format!(
                    "made {role} token {name}; it cannot be shown again"
                ))
            }
            Self::List => print(table(&tokens::list(db).await?).trim_end()),
            Self::Revoke { name } => {
                if tokens::revoke(db, &name).await? {
                    say(&format!("token {name} is revoked"))
                } else {
                    Err(format!("there is no token named {name}").into())
                }
            }
        }
    }
}

/// Violations are told one by one: the error itself only counts them.
fn describe(error: app::Error) -> Failure {
    match error {
        app::Error::Refused(domain::Error::Invalid(violations)) => {
            let texts: Vec<String> = violations
                .iter()
                .map(|violation| format!("--{} {}", violation.field, violation.problem))
                .collect();
            texts.join("\n").into()
        }
        other => other.into(),
    }
}

fn table(tokens: &[Info]) -> String {
    let widest = tokens
        .iter()
        .map(|token| token.name.chars().count())
        .max()
        .unwrap_or(0)
        .max(4);
    let mut text = format!(
        "{:widest$}  {:10}  {:20}  {:20}  {:20}  {:20}\n",
        "NAME", "ROLE", "CREATED", "EXPIRES", "REVOKED", "LAST USED"
    );
    for token in tokens {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:widest$}  {:10}  {:20}  {:20}  {:20}  {:20}",
            token.name,
            token.role.as_str(),
            shown(Some(token.created_us)),
            shown(token.expires_us),
            shown(token.revoked_us),
            shown(token.last_used_us),
        );
    }
    text
}

fn shown(time_us: Option<i64>) -> String {
    let seconds = time_us.map(|time_us| time_us / domain::SECOND_US);
    let time = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::table;
    use crate::app::{Role, tokens::Info};

    #[test]
    fn a_token_is_one_line() {
        let token = Info {
            name: "shop".to_owned(),
            role: Role::Storefront,
            created_us: 1_700_000_000_000_000,
            expires_us: None,
            revoked_us: Some(1_700_000_060_000_000),
            last_used_us: None,
        };
        let text = table(&[token]);
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(lines.len(), 2);
        let expected = [
            "shop",
            "storefront",
            "2023-11-14T22:13:20Z",
            "-",
            "2023-11-14T22:14:20Z",
            "-",
        ];
        assert_eq!(lines[1], expected);
    }
}
