//! Flags of upstream's that are taken and do nothing, so that a command line made for upstream does not end the process. The
//! log names them.
//!
//! In the lists is what kubeadm passes, and what is often beside it. Flags whose wish would be dangerous to pass over in
//! silence (audit, encryption of the store, other authenticators) are not in them: they are refused.

use std::marker::PhantomData;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use tracing::warn;

/// The flags of one component.
pub(crate) trait Known {
    /// Flags that are true or false: `--flag`, `--flag=false`.
    const SWITCHES: &'static [&'static str];
    /// Flags with a value: `--flag value`, `--flag=value`.
    const VALUES: &'static [&'static str];
}

/// Those of the flags of `K` that were given.
#[derive(Debug)]
pub(crate) struct NotFollowed<K> {
    given: Vec<&'static str>,
    of: PhantomData<K>,
}

impl<K: Known> NotFollowed<K> {
    /// Says in the log which flags do nothing.
    pub(crate) fn tell(&self) {
        if !self.given.is_empty() {
            warn!(flags = self.given.join(" "), "Flags of the command line are not followed");
        }
    }
}

impl<K: Known> Args for NotFollowed<K> {
    fn augment_args(command: Command) -> Command {
        let flag = |name: &'static str| {
            let arg = Arg::new(name).long(name).hide(true).action(ArgAction::Append).allow_hyphen_values(true);
            arg.help("Known, and not followed")
        };
        let switch = |name| flag(name).num_args(0..=1).require_equals(true).default_missing_value("true");
        let command = command.args(K::SWITCHES.iter().copied().map(switch));
        command.args(K::VALUES.iter().copied().map(|name| flag(name).num_args(1)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<K: Known> FromArgMatches for NotFollowed<K> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let all = K::SWITCHES.iter().chain(K::VALUES).copied();
        Ok(Self { given: all.filter(|name| matches.contains_id(name)).collect(), of: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug)]
    enum Few {}

    impl Known for Few {
        const SWITCHES: &'static [&'static str] = &["profiling"];
        const VALUES: &'static [&'static str] = &["authorization-mode", "feature-gates"];
    }

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        not_followed: NotFollowed<Few>,
        /// A flag that is followed.
        #[arg(long)]
        port: Option<u16>,
    }

    #[test]
    fn known_flags_are_taken_in_each_of_their_forms() {
        for (line, want) in [
            ("a", vec![]),
            ("a --port 7", vec![]),
            ("a --profiling --port 7", vec!["profiling"]),
            ("a --profiling=false --authorization-mode=Node,RBAC", vec!["profiling", "authorization-mode"]),
            (
                "a --authorization-mode Node --feature-gates A=true --feature-gates -A",
                vec!["authorization-mode", "feature-gates"],
            ),
        ] {
            assert_eq!(Line::try_parse_from(line.split(' ')).unwrap().not_followed.given, want, "{line}");
        }
        for line in ["a --unknown", "a --feature-gates", "a --profiling false"] {
            assert!(Line::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
