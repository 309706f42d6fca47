//! The page docs/not-verified-on-aws.md, made of the checks.

use crate::{
    accounts::KitStack,
    catalog::{Catalog, Check},
};

const WIDTH: usize = 100;

const TOP: &str = "<!-- Generated from crates/verify/checks by `make verify-page`; do not edit. -->

# Not verified on AWS

Sluice was built and tested without an AWS account. This page lists the open questions that only
AWS can answer. Each is a check that `make verify-aws` runs in your accounts:
[verify-aws.md](verify-aws.md). Each entry has the question, the part of Sluice that depends on it,
the answer that Sluice assumes, the change that another answer requires, and what the check needs.
Costs are estimates in us-east-1.

";

/// Returns the page.
pub fn page(catalog: &Catalog) -> String {
    let mut text = TOP.to_owned();
    let (all, local) =
        (catalog.checks().count(), catalog.checks().filter(|check| check.needs_aws.is_none()).count());
    text += &wrapped(
        &format!(
            "There are {all} checks. {local} of them also run against the local cloud, which shows that the check works; the others say `needs AWS` there."
        ),
        "",
        "",
    );
    for group in &catalog.groups {
        text += &format!("\n## {}\n\n", group.title);
        for check in &group.checks {
            text += &entry(check);
        }
    }
    text
}

fn entry(check: &Check) -> String {
    let mut text = wrapped(&format!("**{}**: {}", check.id, check.question), "- ", "  ");
    let mut line = |label: &str, value: &str| text += &wrapped(&format!("{label}: {value}"), "  - ", "    ");
    line("Affects", &check.affects);
    for answer in &check.answers {
        match &answer.change {
            None => line("Assumed", &answer.text),
            Some(change) => line("Otherwise", &format!("{} {}", sentence(&answer.text), change)),
        }
    }
    let mut needs: Vec<String> = Vec::new();
    let stacks: Vec<_> = check.all_stacks().into_iter().map(KitStack::name).collect();
    if !stacks.is_empty() {
        needs.push(format!("the stack{} {}", if stacks.len() == 1 { "" } else { "s" }, stacks.join(", ")));
    }
    needs.extend(check.settings.iter().map(|(name, what)| format!("`--set {name}=` {what}")));
    if !needs.is_empty() {
        line("Needs", &format!("{}.", needs.join("; ")));
    }
    line(
        "Cost",
        &format!(
            "{}, {} minutes ({}).",
            check.cost.usd,
            check.cost.minutes,
            check.cost.source.trim_end_matches('.')
        ),
    );
    if let Some(effect) = &check.caution {
        line("Caution", &format!("{effect}. It runs only if it is named."));
    }
    if let Some(reason) = &check.needs_aws {
        line("Local cloud", &format!("needs AWS: {reason}"));
    }
    text
}

fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.ends_with(['.', '?', '!']) { text.into() } else { format!("{text}.") }
}

/// Breaks a text into lines, the first after `first`, the others after `next`.
fn wrapped(text: &str, first: &str, next: &str) -> String {
    let mut lines = vec![first.to_owned()];
    let mut is_empty = true;
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(format!("{next}{word}"));
            continue;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_wrapped_with_their_indents() {
        let text = wrapped(&"word ".repeat(30), "- ", "  ");
        assert!(text.lines().all(|line| line.len() <= WIDTH), "{text}");
        assert!(
            text.starts_with("- word") && text.lines().nth(1).is_some_and(|line| line.starts_with("  word"))
        );
    }
}
