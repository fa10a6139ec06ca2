//! Signals by name (driver-spec 15.8). Numbers and names without `SIG` are no signals here, as in Nomad.
//! A container's kernel is Linux whatever ours is, so the numbers are Linux's, of every architecture but MIPS and Alpha.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! signals {
    ($($variant:ident $name:literal $number:literal,)*) => {
        /// A signal that a task can be sent. Written and read as its name, `SIGTERM`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Signal {
            $(#[doc = concat!("`", $name, "`, ", $number, ".")] $variant,)*
        }

        impl Signal {
            /// Every signal there is, sorted by name.
            pub const ALL: &'static [Signal] = &[$(Signal::$variant,)*];

            /// Its name, with `SIG`.
            pub const fn name(self) -> &'static str {
                match self { $(Signal::$variant => $name,)* }
            }

            /// Its number on Linux.
            pub const fn number(self) -> i32 {
                match self { $(Signal::$variant => $number,)* }
            }
        }
    };
}

signals! {
    Abrt "SIGABRT" 6,
    Alrm "SIGALRM" 14,
    Bus "SIGBUS" 7,
    Chld "SIGCHLD" 17,
    Cont "SIGCONT" 18,
    Fpe "SIGFPE" 8,
    Hup "SIGHUP" 1,
    Ill "SIGILL" 4,
    Int "SIGINT" 2,
    Io "SIGIO" 29,
    Iot "SIGIOT" 6,
    Kill "SIGKILL" 9,
    Pipe "SIGPIPE" 13,
    Prof "SIGPROF" 27,
    Quit "SIGQUIT" 3,
    Segv "SIGSEGV" 11,
    Stop "SIGSTOP" 19,
    Sys "SIGSYS" 31,
    Term "SIGTERM" 15,
    Trap "SIGTRAP" 5,
    Tstp "SIGTSTP" 20,
    Ttin "SIGTTIN" 21,
    Ttou "SIGTTOU" 22,
    Urg "SIGURG" 23,
    Usr1 "SIGUSR1" 10,
    Usr2 "SIGUSR2" 12,
    Winch "SIGWINCH" 28,
    Xcpu "SIGXCPU" 24,
    Xfsz "SIGXFSZ" 25,
}

impl Signal {
    /// The signal that a stop sends: the one named, SIGTERM where the name is empty.
    ///
    /// # Errors
    ///
    /// No signal has that name.
    pub fn for_stop(name: &str) -> Result<Signal, SignalError> {
        if name.is_empty() { Ok(Signal::Term) } else { name.parse() }
    }
}

impl FromStr for Signal {
    type Err = SignalError;

    /// By name with `SIG`, in upper or lower case.
    fn from_str(name: &str) -> Result<Signal, SignalError> {
        let found = Signal::ALL.iter().find(|s| s.name().eq_ignore_ascii_case(name));
        found.copied().ok_or_else(|| SignalError { name: name.into() })
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Signal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Signal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Signal, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// No signal has this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalError {
    /// The name as it was given.
    pub name: String,
}

impl fmt::Display for SignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Signal::ALL.iter().map(|s| s.name()).collect();
        write!(f, "no signal is called {:?}; there are {}", self.name, names.join(", "))
    }
}

impl std::error::Error for SignalError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        // driver-spec 15.8: name -> (signal, number)
        for (name, want) in [
            ("SIGTERM", Some((Signal::Term, 15))),
            ("sigterm", Some((Signal::Term, 15))),
            ("SigUsr1", Some((Signal::Usr1, 10))),
            ("SIGIOT", Some((Signal::Iot, 6))),
            ("SIGABRT", Some((Signal::Abrt, 6))),
            ("SIGXFSZ", Some((Signal::Xfsz, 25))),
            ("TERM", None),
            ("15", None),
            ("", None),
            (" SIGTERM", None),
            ("SIGRTMIN+3", None),
            ("SIGDOESNOTEXIST", None),
        ] {
            assert_eq!(name.parse::<Signal>().ok().map(|s| (s, s.number())), want, "name {name:?}");
        }
    }

    #[test]
    fn for_a_stop() {
        for (name, want) in
            [("", Ok(Signal::Term)), ("SIGHUP", Ok(Signal::Hup)), ("SIGDOESNOTEXIST", Err("SIGDOESNOTEXIST"))]
        {
            assert_eq!(Signal::for_stop(name), want.map_err(|n: &str| SignalError { name: n.into() }), "name {name:?}");
        }
    }

    #[test]
    fn every_signal_comes_back() {
        assert_eq!(Signal::ALL.len(), 29, "driver-spec 15.8 has 29 names");
        for signal in Signal::ALL {
            assert_eq!(signal.to_string().parse(), Ok(*signal), "{signal}");
            let json = serde_json::to_string(signal).expect("a name");
            assert_eq!(json, format!("\"{}\"", signal.name()), "{signal}");
            assert_eq!(serde_json::from_str::<Signal>(&json).expect("its own name"), *signal, "{signal}");
        }
        assert!(Signal::ALL.is_sorted_by_key(|s| s.name()));
    }

    #[test]
    fn an_error_lists_what_there_is() {
        let text = "SIGNOPE".parse::<Signal>().expect_err("no such signal").to_string();
        assert!(text.starts_with("no signal is called \"SIGNOPE\"; there are SIGABRT, SIGALRM, "), "{text}");
        assert!(serde_json::from_str::<Signal>("\"SIGNOPE\"").is_err());
    }
}
