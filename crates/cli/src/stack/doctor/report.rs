//! The report of `midihook doctor`: facts and findings.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use midihook::aws::error::{Reason, in_one_line};
use serde::Serialize;

use super::account::Deployment;
use crate::output;
use crate::stack::when::utc;

/// What is known of a stack.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DoctorReport {
    stack: String,
    region: String,
    status: String,
    /// The release that is deployed.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// The parameters that differ from their defaults.
    pub parameters: BTreeMap<String, String>,
    /// The keys, by their logical ids.
    pub keys: BTreeMap<String, StoredKey>,
    pub queues: BTreeMap<String, Messages>,
    findings: Vec<Finding>,
    /// AWS CLI commands for what `doctor` does not examine, by what they show.
    pub commands: BTreeMap<&'static str, String>,
}

/// What is known of a key without reading it.
#[derive(Serialize)]
pub struct StoredKey {
    /// When it was stored.
    pub stored: String,
    pub days: u64,
}

/// How many messages a queue has.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Messages {
    pub waiting: u64,
    pub in_work: u64,
    pub delayed: u64,
}

/// How bad a finding is.
#[derive(Serialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
enum Level {
    /// Something is wrong.
    Problem,
    /// A check failed.
    Unknown,
    /// Something to know.
    Note,
}

#[derive(Serialize)]
struct Finding {
    level: Level,
    what: String,
    /// The command that mends it, or where the runbook says how.
    mend: String,
}

impl StoredKey {
    pub fn stored(at: SystemTime) -> Self {
        let age = SystemTime::now().duration_since(at).unwrap_or(Duration::ZERO);
        Self {
            stored: utc(at),
            days: age.as_secs() / 86_400,
        }
    }
}

impl DoctorReport {
    pub fn of(account: &Deployment) -> Self {
        let status = account.stack.stack_status();
        Self {
            stack: account.name.clone(),
            region: account.region.clone(),
            status: status.map_or("?", |status| status.as_str()).to_owned(),
            version: account.output("Version").map(str::to_owned),
            parameters: BTreeMap::new(),
            keys: BTreeMap::new(),
            queues: BTreeMap::new(),
            findings: Vec::new(),
            commands: BTreeMap::new(),
        }
    }

    pub fn problem(&mut self, what: impl Into<String>, mend: impl Into<String>) {
        self.add(Level::Problem, what, mend);
    }

    pub fn note(&mut self, what: impl Into<String>, mend: impl Into<String>) {
        self.add(Level::Note, what, mend);
    }

    /// Nothing can be said yet.
    pub fn unknown(&mut self, what: impl Into<String>, mend: impl Into<String>) {
        self.add(Level::Unknown, what, mend);
    }

    /// A check failed, which needs this permission.
    pub fn could_not_look(&mut self, permission: &str, error: &Reason) {
        let mend = match error.is_transient() {
            true => "try again".to_owned(),
            false => format!("allow {permission}, if that is what is missing"),
        };
        self.unknown(format!("could not look ({permission}): {}", in_one_line(error)), mend);
    }

    fn add(&mut self, level: Level, what: impl Into<String>, mend: impl Into<String>) {
        self.findings.push(Finding {
            level,
            what: what.into(),
            mend: mend.into(),
        });
    }

    pub fn problems(&self) -> usize {
        self.count(Level::Problem)
    }

    pub fn unknowns(&self) -> usize {
        self.count(Level::Unknown)
    }

    fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }

    /// The same in lines, for people.
    pub fn text(&self) -> String {
        let version = self.version.as_deref().unwrap_or("unknown");
        let mut lines = format!(
            "{} in {}: {}, version {version}\n",
            self.stack, self.region, self.status
        );
        let mut add = |what: &str, text: &str| lines += &format!("  {what:<21} {text}\n");
        for (name, value) in &self.parameters {
            add(name, value);
        }
        for (name, key) in &self.keys {
            add(name, &format!("stored {}, {} days ago", key.stored, key.days));
        }
        for (name, messages) in &self.queues {
            let Messages {
                waiting,
                in_work,
                delayed,
            } = messages;
            add(
                name,
                &format!("{waiting} waiting, {in_work} in work, {delayed} delayed"),
            );
        }
        for finding in &self.findings {
            let (level, bad) = match finding.level {
                Level::Problem => ("problem", true),
                Level::Unknown => ("unknown", false),
                Level::Note => ("note", false),
            };
            let level = output::state(level, !bad, false);
            lines += &format!("{level}: {}\n  {}\n", finding.what, finding.mend);
        }
        for (shown, command) in &self.commands {
            lines += &format!("to see {shown}:\n  {command}\n");
        }
        if self.problems() + self.unknowns() == 0 {
            lines += &format!("{}\n", output::state("nothing is wrong", false, true));
        }
        lines
    }
}
