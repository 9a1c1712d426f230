//! The environment of a function, read once before the first event. template.yaml sets it.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    str::FromStr,
};

use thiserror::Error;

/// The variables of the environment. An empty one counts as missing.
#[derive(Clone, PartialEq, Eq)]
pub struct Env(BTreeMap<String, String>);

/// Shows the names only: Lambda puts credentials into the environment.
impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A setting that cannot be used. A function names it in its log and does not start.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadSetting {
    /// It is not set, or empty.
    #[error("the environment variable {0} is not set: deploy with template.yaml, which sets it")]
    Missing(&'static str),
    /// Its value is not allowed.
    #[error("the environment variable {name} is {value}: {rule}")]
    Unusable {
        /// The variable.
        name: &'static str,
        /// Its value, quoted; `…` if it may hold a password.
        value: String,
        /// Which values are allowed.
        rule: String,
    },
}

impl Env {
    /// The environment of this process.
    pub fn of_process() -> Self {
        let text = |text: std::ffi::OsString| text.into_string().ok();
        Self::from_iter(std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))))
    }

    /// A variable; `None` if it is missing.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A variable that must be set.
    ///
    /// # Errors
    /// If it is missing.
    pub fn required(&self, name: &'static str) -> Result<String, BadSetting> {
        self.get(name).map(str::to_owned).ok_or(BadSetting::Missing(name))
    }

    /// The value of a variable that must be set.
    ///
    /// # Errors
    /// If it is missing or not allowed.
    pub fn parsed<T: FromStr<Err: Display>>(&self, name: &'static str) -> Result<T, BadSetting> {
        parse(name, &self.required(name)?)
    }

    /// The value of a variable; the default if it is missing. Lambda changes code and environment in two calls, so a new
    /// release may start with the environment of the last one.
    ///
    /// # Errors
    /// If it is not allowed.
    pub fn parsed_or_default<T: FromStr<Err: Display> + Default>(&self, name: &'static str) -> Result<T, BadSetting> {
        self.get(name)
            .map_or_else(|| Ok(T::default()), |value| parse(name, value))
    }

    /// A URL. The error does not quote it, because it may hold a password.
    ///
    /// # Errors
    /// If it is missing or not allowed.
    pub fn url<T: FromStr<Err: Display>>(&self, name: &'static str) -> Result<T, BadSetting> {
        self.required(name)?
            .parse()
            .map_err(|rule: T::Err| unusable(name, "…".to_owned(), rule))
    }
}

fn parse<T: FromStr<Err: Display>>(name: &'static str, value: &str) -> Result<T, BadSetting> {
    value.parse().map_err(|rule| unusable(name, format!("{value:?}"), rule))
}

fn unusable(name: &'static str, value: String, rule: impl Display) -> BadSetting {
    let rule = rule.to_string();
    BadSetting::Unusable { name, value, rule }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let pairs = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        let mut variables: BTreeMap<String, String> = pairs.collect();
        variables.retain(|_, value| !value.is_empty());
        Self(variables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_missing_unusable_or_read() {
        let env = Env::from_iter([("NUMBER", "7"), ("TEXT", "x"), ("EMPTY", "")]);
        assert_eq!(env.parsed("NUMBER"), Ok(7));
        for missing in ["EMPTY", "OTHER"] {
            assert_eq!(env.required(missing), Err(BadSetting::Missing(missing)));
            assert_eq!(env.parsed_or_default(missing), Ok(0));
        }
        let error = env.parsed::<u8>("TEXT").map_err(|error| error.to_string());
        let rule = r#"the environment variable TEXT is "x": invalid digit found in string"#;
        assert_eq!(error, Err(rule.to_owned()));
        assert!(env.parsed_or_default::<u8>("TEXT").is_err());
        let error = env.url::<u8>("TEXT").map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.contains("is …: ") && !error.contains('x')));
    }
}
