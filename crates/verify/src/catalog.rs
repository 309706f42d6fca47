//! The checks: their data, and the rules that the data keep.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    accounts::{KitStack, Role},
    answers::{Answer, Condition},
    money::Usd,
    step::{Action, Step},
    text::CommandLine,
};

/// The files of the checks, in the order of the page.
const FILES: [(&str, &str); 5] = [
    ("integrations", include_str!("../checks/integrations.yaml")),
    ("cloudformation", include_str!("../checks/cloudformation.yaml")),
    ("rotation", include_str!("../checks/rotation.yaml")),
    ("alerts", include_str!("../checks/alerts.yaml")),
    ("monitor", include_str!("../checks/monitor.yaml")),
];

/// Programs that a check may run. `env` sets variables for one of the others.
const PROGRAMS: [&str; 5] = ["aws", "curl", "env", "make", "scripts/deploy"];

/// All checks.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// The groups in the order of the page.
    pub groups: Vec<Group>,
}

/// The checks of one file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The heading of the page.
    pub title: String,
    /// The checks.
    pub checks: Vec<Check>,
}

/// A question and the way to answer it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Check {
    /// The name, in kebab case.
    pub id: String,
    /// The question.
    pub question: String,
    /// The part of Sluice that depends on the answer.
    pub affects: String,
    /// The estimated cost.
    pub cost: Cost,
    /// The stacks of the kit that must exist; their outputs are variables, `${hub.TopicArn}`.
    #[serde(default)]
    pub stacks: Vec<KitStack>,
    /// Values that the operator gives, with what each is.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// The reason why the local cloud cannot answer.
    pub needs_aws: Option<String>,
    /// The effect on what is in use. On AWS, such a check runs only if it is named.
    pub caution: Option<String>,
    /// Files that the commands read; `${file.NAME}` is a file's path.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// The steps.
    pub steps: Vec<Step>,
    /// The possible answers; the first one that fits counts.
    pub answers: Vec<Answer>,
}

/// The estimated cost of a check.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// The cost of one run, in US dollars in us-east-1.
    pub usd: Usd,
    /// The cost of each hour for which its resources are left behind.
    #[serde(default)]
    pub hourly: Usd,
    /// The minutes that one run takes, removal included.
    pub minutes: u32,
    /// The source of the price, with its date.
    pub source: String,
}

/// A file of checks that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The file does not have the form of a group.
    #[error("checks/{file}.yaml: {reason}")]
    File {
        /// The file's name without its ending.
        file: String,
        /// The reason, with the line.
        reason: String,
    },
    /// A check breaks a rule.
    #[error("check `{check}`: {reason}")]
    Check {
        /// The check's id.
        check: String,
        /// The rule and where it is broken.
        reason: String,
    },
    /// A check that is asked for does not exist.
    #[error("there is no check `{name}`{}; `--list` prints all", nearest.as_ref().map_or(String::new(), |n| format!(" (did you mean `{n}`?)")))]
    Unknown {
        /// The name that was given.
        name: String,
        /// The most similar id.
        nearest: Option<String>,
    },
}

impl Catalog {
    /// Reads the checks of this crate.
    ///
    /// # Errors
    /// A file or check breaks a rule.
    pub fn of_the_kit() -> Result<Self, CatalogError> {
        Self::parse(&FILES)
    }

    /// Reads checks from files, given as name and contents.
    ///
    /// # Errors
    /// A file or check breaks a rule.
    pub fn parse(files: &[(&str, &str)]) -> Result<Self, CatalogError> {
        let mut groups = Vec::new();
        let mut ids = BTreeSet::new();
        for (file, text) in files {
            let group: Group = serde_saphyr::from_str(text)
                .map_err(|error| CatalogError::File { file: (*file).into(), reason: error.to_string() })?;
            for check in &group.checks {
                check.validate().map_err(|reason| CatalogError::Check { check: check.id.clone(), reason })?;
                if !ids.insert(check.id.clone()) {
                    let reason = "two checks have this id".into();
                    return Err(CatalogError::Check { check: check.id.clone(), reason });
                }
            }
            groups.push(group);
        }
        Ok(Self { groups })
    }

    /// Returns all checks.
    pub fn checks(&self) -> impl Iterator<Item = &Check> {
        self.groups.iter().flat_map(|group| &group.checks)
    }

    /// Returns the checks with these ids, or all if there are none, in the order of the catalog.
    ///
    /// # Errors
    /// There is no check of that id.
    pub fn select(&self, ids: &[String]) -> Result<Vec<&Check>, CatalogError> {
        for id in ids {
            if !self.checks().any(|check| check.id == *id) {
                let shared =
                    |other: &str| id.split('-').filter(|word| other.split('-').any(|w| w == *word)).count();
                let nearest = self.checks().map(|check| &check.id).max_by_key(|other| shared(other));
                let nearest = nearest.filter(|other| shared(other) > 0).cloned();
                return Err(CatalogError::Unknown { name: id.clone(), nearest });
            }
        }
        Ok(self.checks().filter(|check| ids.is_empty() || ids.contains(&check.id)).collect())
    }
}

/// Variables that every check has.
pub const BUILT_IN: [&str; 5] = ["prefix", "name", "ends", "region", "partition"];

impl Check {
    /// Returns the accounts that its steps run in and that its stacks are in.
    pub fn roles(&self) -> BTreeSet<Role> {
        let steps =
            self.steps.iter().filter(|step| !matches!(step.action, Action::Ask(_))).map(|step| step.role);
        let named = Role::ALL.into_iter().filter(|role| self.uses(&format!("account.{}", role.name())));
        steps.chain(self.all_stacks().into_iter().map(KitStack::role)).chain(named).collect()
    }

    /// Returns the stacks that it needs, with the warehouse of its statements.
    pub fn all_stacks(&self) -> BTreeSet<KitStack> {
        let of_warehouse = |step: &Step| match &step.action {
            Action::Sql(_) => true,
            Action::Run(line) => line.is_about_warehouse(),
            Action::Ask(_) => false,
        };
        let sql = self.steps.iter().any(of_warehouse);
        self.stacks.iter().copied().chain(sql.then_some(KitStack::Warehouse)).collect()
    }

    /// Returns the names of all variables of its steps, removals and answers.
    pub fn names(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        for step in &self.steps {
            names.extend(step.names());
            names.extend(step.until.iter().flat_map(Condition::names));
            for undo in &step.undo {
                names.extend(lines(undo).flat_map(CommandLine::names));
            }
        }
        names.extend(self.answers.iter().flat_map(|answer| &answer.when).flat_map(Condition::names));
        names
    }

    /// Returns its commands and files, for the comparison with the AWS CLI.
    pub fn commands(&self) -> Commands<'_> {
        let steps = self.steps.iter().flat_map(|step| {
            let own = if let Action::Run(line) = &step.action { Some(line) } else { None };
            own.into_iter().chain(step.undo.iter().flat_map(lines))
        });
        Commands { check: &self.id, commands: steps.map(CommandLine::words).collect(), files: &self.files }
    }

    fn uses(&self, name: &str) -> bool {
        self.names().contains(name)
    }

    fn validate(&self) -> Result<(), String> {
        let kebab = |id: &str| {
            !id.is_empty()
                && id.split('-').all(|word| {
                    !word.is_empty()
                        && word.chars().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit())
                })
        };
        if !kebab(&self.id) {
            return Err("an id is in kebab case".into());
        }
        for (what, text) in
            [("question", &self.question), ("affects", &self.affects), ("source", &self.cost.source)]
        {
            if text.trim().is_empty() {
                return Err(format!("`{what}` is empty"));
            }
        }
        if !self.question.ends_with('?') && !self.question.contains("? ") {
            return Err("`question` has no question mark".into());
        }
        if self.cost.minutes == 0 {
            return Err("`minutes` is at least 1".into());
        }
        self.validate_variables()?;
        if self.steps.is_empty() || !self.answers.iter().any(|answer| answer.change.is_none()) {
            return Err("a check has steps, and an answer that is assumed".into());
        }
        if self
            .answers
            .iter()
            .any(|answer| answer.when.is_empty() || answer.when.iter().any(|one| one.that.is_none()))
        {
            return Err("each condition of an answer says which text it is about (`that`)".into());
        }
        let files = self.files.keys().find(|name| !self.uses(&format!("file.{name}")));
        if let Some(name) = files {
            return Err(format!("no step reads the file `{name}`"));
        }
        if let Some(name) = self.settings.keys().find(|name| !self.uses(name)) {
            return Err(format!("no step uses the setting `{name}`"));
        }
        Ok(())
    }

    /// Checks that each variable has a value when it is needed, that what creates something says
    /// how it is removed, and that each removal needs only what is known before the creation.
    fn validate_variables(&self) -> Result<(), String> {
        let mut known: BTreeSet<String> = BUILT_IN.iter().map(|name| (*name).to_owned()).collect();
        known.extend(Role::ALL.iter().map(|role| format!("account.{}", role.name())));
        known.extend(self.settings.keys().cloned());
        known.extend(self.files.keys().map(|name| format!("file.{name}")));
        let stacks = self.all_stacks();
        let of_stack =
            |name: &str| stacks.iter().any(|stack| name.starts_with(&format!("{}.", stack.name())));
        let unknown = |names: &[&str], known: &BTreeSet<String>| {
            names
                .iter()
                .find(|name| !known.contains(**name) && !of_stack(name))
                .map(|name| (*name).to_owned())
        };
        for (number, step) in self.steps.iter().enumerate() {
            let at = format!("step {}", number + 1);
            if let Some(name) = unknown(&step.names(), &known) {
                return Err(format!("{at} needs `{name}`, which no earlier step sets"));
            }
            let mut commands: Vec<&CommandLine> = step.undo.iter().flat_map(lines).collect();
            if let Action::Run(line) = &step.action {
                commands.push(line);
                if creates(line) && step.undo.is_empty() {
                    return Err(format!("{at} creates something and has no `undo`"));
                }
            } else if step.undo.is_empty()
                && matches!(&step.action, Action::Sql(text) if text.starts_with("CREATE "))
            {
                return Err(format!("{at} creates something and has no `undo`"));
            } else if !step.undo.is_empty() && matches!(step.action, Action::Ask(_)) {
                return Err(format!("{at} is a question and has an `undo`"));
            }
            if let Some(line) =
                commands.iter().find(|line| !line.program().is_some_and(|p| PROGRAMS.contains(&p)))
            {
                let program = line.program().unwrap_or("a variable");
                return Err(format!("{at} runs `{program}`; allowed are {}", PROGRAMS.join(", ")));
            }
            for undo in &step.undo {
                let mut known = known.clone();
                if let Some(find) = &undo.find {
                    if let Some(name) = unknown(&find.names().into_iter().collect::<Vec<_>>(), &known) {
                        return Err(format!(
                            "the undo of {at} needs `{name}`, which is not known before the step runs"
                        ));
                    }
                    known.insert("found".into());
                }
                if let Some(name) = unknown(&undo.run.names().into_iter().collect::<Vec<_>>(), &known) {
                    return Err(format!(
                        "the undo of {at} needs `{name}`, which is not known before the step runs"
                    ));
                }
            }
            for name in step.sets() {
                if name.contains('.') || name == "found" || !known.insert(name.to_owned()) {
                    return Err(format!("{at} sets `{name}`, which exists already or is reserved"));
                }
            }
            let conditions: Vec<&str> = step.until.iter().flat_map(Condition::names).collect();
            if let Some(name) = unknown(&conditions, &known) {
                return Err(format!("the condition of {at} needs `{name}`, which nothing sets"));
            }
        }
        let conditions: Vec<&str> =
            self.answers.iter().flat_map(|answer| &answer.when).flat_map(Condition::names).collect();
        match unknown(&conditions, &known) {
            Some(name) => Err(format!("an answer needs `{name}`, which no step sets")),
            None => Ok(()),
        }
    }
}

/// The commands of a check, their words with variables as they are written.
#[derive(Debug, Serialize)]
pub struct Commands<'c> {
    check: &'c str,
    commands: Vec<Vec<String>>,
    files: &'c BTreeMap<String, String>,
}

/// Returns the commands of a removal.
pub fn lines(undo: &crate::step::Undo) -> impl Iterator<Item = &CommandLine> {
    undo.find.iter().chain([&undo.run])
}

/// Returns true if a command makes something that stays: AWS operations that begin so, and
/// deployments. `create-…-token` and the like do not exist in the catalog.
fn creates(line: &CommandLine) -> bool {
    let words = line.literals();
    match words.first().copied().flatten() {
        Some("aws") => {
            let operation = words.get(2).copied().flatten().unwrap_or_default();
            [
                "create-",
                "run-instances",
                "allocate-",
                "put-rule",
                "put-targets",
                "put-metric-alarm",
                "put-bucket-",
                "put-resource-policy",
                "mb",
            ]
            .iter()
            .any(|prefix| operation.starts_with(prefix))
        }
        Some("scripts/deploy") => true,
        Some("env") => words.contains(&Some("scripts/deploy")),
        _ => false,
    }
}
