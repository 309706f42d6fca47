//! CloudFormation stacks without the SAM CLI: the same changes as `sam deploy`, in a fraction of
//! its time.
//!
//! A template is sent as it is in `templates/`. Only the local paths of code and state machines are
//! replaced by addresses in Amazon S3, as `sam package` replaces them. The path that users take,
//! with the real SAM CLI, is [`crate::deploy`].

use std::{
    collections::BTreeMap,
    fs,
    io::{Cursor, Write},
    path::Path,
    time::Duration,
};

use sha2::{Digest, Sha256};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::{
    Error,
    aws::{Account, AwsError, Element},
    functions,
    wait::{self, Seen},
    workspace,
};

/// The outputs of a stack by name.
pub type Outputs = BTreeMap<String, String>;

/// The time that an operation on a stack may take; the longest ones wait for an integration.
const DEADLINE: Duration = Duration::from_secs(300);

/// One entry of a stack's history.
#[derive(Debug, Clone)]
pub struct Event {
    /// Name of the resource in the template, or of the stack.
    pub resource: String,
    /// Status, such as `CREATE_FAILED`.
    pub status: String,
    /// Reason, empty for most successful operations.
    pub reason: String,
}

impl Account {
    /// Creates or updates a stack from `templates/NAME.yaml` and waits for the end. Parameters that
    /// are not given keep their values, or have the template's defaults.
    ///
    /// # Errors
    /// [`Error::Stack`] with the first failed resource's reason, or CloudFormation's own error.
    pub fn deploy(&self, stack: &str, template: &str, parameters: &[(&str, &str)]) -> Result<Outputs, Error> {
        let path = workspace::root().join("templates").join(format!("{template}.yaml"));
        let text = fs::read_to_string(&path).map_err(Error::io(format!("read {}", path.display())))?;
        let folder = path.parent().unwrap_or(&path);
        let packaged = self.package(&text, folder)?;
        self.deploy_text(stack, &packaged, parameters)
    }

    /// Creates or updates a stack from a template that refers to no local file.
    ///
    /// # Errors
    /// As for [`Account::deploy`].
    pub fn deploy_text(
        &self,
        stack: &str,
        template: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Outputs, Error> {
        let before = self.describe_stack(stack)?;
        let kind = if before.is_some() { "UPDATE" } else { "CREATE" };
        let name = format!("change-{:016x}", fastrand::u64(..));
        // As `sam deploy` does it: CloudFormation takes no more than 51,200 bytes in the request
        // itself.
        let (bucket, key) = self.keep_artifact(template.as_bytes(), "template")?;
        let mut request = vec![
            ("StackName".to_owned(), stack.to_owned()),
            ("ChangeSetName".to_owned(), name.clone()),
            ("ChangeSetType".to_owned(), kind.to_owned()),
            ("TemplateURL".to_owned(), format!("https://s3.amazonaws.com/{bucket}/{key}")),
            ("Capabilities.member.1".to_owned(), capability(template).to_owned()),
            ("Capabilities.member.2".to_owned(), "CAPABILITY_AUTO_EXPAND".to_owned()),
        ];
        let kept = before.iter().flat_map(|stack| stack.all("ParameterKey")).map(|key| key.value.clone());
        let kept = kept.filter(|key| parameters.iter().all(|(given, _)| given != key));
        let given = parameters.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned())));
        for (index, (key, value)) in given.chain(kept.map(|key| (key, None))).enumerate() {
            let prefix = format!("Parameters.member.{}", index + 1);
            request.push((format!("{prefix}.ParameterKey"), key));
            request.push(match value {
                Some(value) => (format!("{prefix}.ParameterValue"), value),
                None => (format!("{prefix}.UsePreviousValue"), "true".to_owned()),
            });
        }
        let pairs: Vec<_> = request.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        self.query("cloudformation", "CreateChangeSet", &pairs)?;

        let change = [("StackName", stack), ("ChangeSetName", name.as_str())];
        let ready = wait::until(&format!("the change set of stack {stack}"), DEADLINE, || {
            let answer = self.query("cloudformation", "DescribeChangeSet", &change)?;
            let status = answer.text("Status").unwrap_or_default();
            let reason = answer.text("StatusReason").unwrap_or_default();
            Ok(match status.as_str() {
                "CREATE_COMPLETE" => Seen::Yes(Ok(true)),
                "FAILED" if reason.contains("No updates") || reason.contains("didn't contain changes") => {
                    Seen::Yes(Ok(false))
                }
                "FAILED" => Seen::Yes(Err(reason)),
                _ => Seen::NotYet(status),
            })
        })?;
        let changes = ready.map_err(|reason| Error::Stack {
            stack: stack.to_owned(),
            status: "change set FAILED".into(),
            reason,
        })?;
        if changes {
            self.query("cloudformation", "ExecuteChangeSet", &change)?;
            self.wait_for_stack(stack, &format!("{kind}_COMPLETE"))?;
        }
        self.stack_outputs(stack)
    }

    /// Deletes a stack and waits for the end. A missing stack is an error, so that no test passes
    /// by a misspelt name.
    ///
    /// # Errors
    /// [`Error::Stack`] with the first failed resource's reason.
    pub fn delete_stack(&self, stack: &str) -> Result<(), Error> {
        let Some(found) = self.describe_stack(stack)? else {
            return Err(Error::Stack {
                stack: stack.to_owned(),
                status: "absent".into(),
                reason: String::new(),
            });
        };
        // By id, a deleted stack can still be described.
        let id = found.text("StackId").unwrap_or_else(|| stack.to_owned());
        let before = self.stack_events(&id)?.len();
        self.query("cloudformation", "DeleteStack", &[("StackName", stack)])?;
        // The call returns before the deletion begins: until then the status is that of the last
        // operation.
        wait::until(&format!("the deletion of stack {stack} to begin"), DEADLINE, || {
            let begun = self.stack_events(&id)?.len() > before;
            Ok(if begun { Seen::Yes(()) } else { Seen::NotYet("no new event".into()) })
        })?;
        self.wait_for_stack(&id, "DELETE_COMPLETE")
    }

    /// A stack's status, or `None` if there is none of this name.
    ///
    /// # Errors
    /// CloudFormation's error.
    pub fn stack_status(&self, stack: &str) -> Result<Option<String>, Error> {
        Ok(self.describe_stack(stack)?.and_then(|found| found.text("StackStatus")))
    }

    /// A stack's outputs.
    ///
    /// # Errors
    /// CloudFormation's error. A missing stack has no outputs.
    pub fn stack_outputs(&self, stack: &str) -> Result<Outputs, Error> {
        let found = self.describe_stack(stack)?;
        let Some(outputs) = found.as_ref().and_then(|stack| stack.find("Outputs")) else {
            return Ok(Outputs::new());
        };
        let pair = |output: &Element| Some((output.text("OutputKey")?, output.text("OutputValue")?));
        Ok(outputs.children.iter().filter_map(pair).collect())
    }

    /// A stack's history, oldest first.
    ///
    /// # Errors
    /// CloudFormation's error.
    pub fn stack_events(&self, stack: &str) -> Result<Vec<Event>, Error> {
        let field = |event: &Element, name| event.text(name).unwrap_or_default();
        let (mut events, mut token) = (Vec::new(), None);
        // A page has at most a hundred events, and comes before older ones.
        loop {
            let mut words = vec![("StackName", stack)];
            words.extend(token.as_deref().map(|token| ("NextToken", token)));
            let answer = self.query("cloudformation", "DescribeStackEvents", &words)?;
            let page = answer.find("StackEvents").map(|list| list.children.as_slice()).unwrap_or_default();
            events.extend(page.iter().map(|event| Event {
                resource: field(event, "LogicalResourceId"),
                status: field(event, "ResourceStatus"),
                reason: field(event, "ResourceStatusReason"),
            }));
            token = answer.text("NextToken").filter(|token| !token.is_empty());
            if token.is_none() {
                events.reverse();
                return Ok(events);
            }
        }
    }

    /// The physical id of a resource of a stack.
    ///
    /// # Errors
    /// The stack or the resource does not exist.
    pub fn physical_id(&self, stack: &str, resource: &str) -> Result<String, Error> {
        let words = [("StackName", stack), ("LogicalResourceId", resource)];
        let answer = self.query("cloudformation", "DescribeStackResource", &words)?;
        Ok(answer.text("PhysicalResourceId").unwrap_or_default())
    }

    fn describe_stack(&self, stack: &str) -> Result<Option<Element>, Error> {
        match self.query("cloudformation", "DescribeStacks", &[("StackName", stack)]) {
            Ok(answer) => Ok(answer.find("Stacks").and_then(|list| list.children.first()).cloned()),
            Err(AwsError { code, message, .. })
                if code == "ValidationError" && message.contains("does not exist") =>
            {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn wait_for_stack(&self, stack: &str, wanted: &str) -> Result<(), Error> {
        let status = wait::until(&format!("stack {stack} to be {wanted}"), DEADLINE, || {
            let status = self.stack_status(stack)?.unwrap_or_else(|| "DELETE_COMPLETE".into());
            // An update cleans up after its end, and then its result is final.
            let running = status.ends_with("_IN_PROGRESS") && !status.contains("COMPLETE_CLEANUP");
            Ok(if running {
                Seen::NotYet(status)
            } else {
                Seen::Yes(status.replace("_CLEANUP_IN_PROGRESS", ""))
            })
        })?;
        if status == wanted {
            return Ok(());
        }
        let reason = first_failure(&self.stack_events(stack)?).unwrap_or_default();
        Err(Error::Stack { stack: stack.to_owned(), status, reason })
    }

    /// Uploads the files of `folder` that the template refers to, and replaces the references.
    fn package(&self, template: &str, folder: &Path) -> Result<String, Error> {
        functions::place(template)?;
        let mut text = String::with_capacity(template.len());
        for line in template.split_inclusive('\n') {
            let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
            let local = ["CodeUri: ../", "DefinitionUri: ../"].iter().find_map(|key| rest.strip_prefix(key));
            let Some(place) = local else {
                text.push_str(line);
                continue;
            };
            let path = folder.join("..").join(place.trim_end().trim_end_matches('/'));
            let read = |path: &Path| fs::read(path).map_err(Error::io(format!("read {}", path.display())));
            let (body, extension) = if path.is_file() {
                (read(&path)?, "json")
            } else {
                (zip_function(&read(&path.join("bootstrap"))?).map_err(Error::io("make a zip"))?, "zip")
            };
            let (bucket, key) = self.keep_artifact(&body, extension)?;
            let name = rest.split(':').next().unwrap_or_default();
            text.push_str(&format!("{indent}{name}: s3://{bucket}/{key}\n"));
        }
        Ok(text)
    }

    /// Uploads content to the account's bucket for artifacts, under a name made of its hash;
    /// returns bucket and key.
    fn keep_artifact(&self, body: &[u8], extension: &str) -> Result<(String, String), Error> {
        let bucket = format!("sluice-artifacts-{}-{}", self.access_key(), self.region());
        let key = format!("{}.{extension}", hex::encode(Sha256::digest(body)));
        match self.create_bucket(&bucket) {
            Err(error) if !error.code.starts_with("BucketAlreadyOwnedByYou") => return Err(error.into()),
            _ => self.put_object(&bucket, &key, body)?,
        }
        Ok((bucket, key))
    }
}

/// The capability that `samconfig/` grants. Only templates with a named role get the wider one.
fn capability(template: &str) -> &'static str {
    if template.contains(" RoleName: ") { "CAPABILITY_NAMED_IAM" } else { "CAPABILITY_IAM" }
}

/// Makes a function's zip, without compression, which would be slow in a build without
/// optimisation.
fn zip_function(bootstrap: &[u8]) -> std::io::Result<Vec<u8>> {
    let options =
        SimpleFileOptions::default().compression_method(CompressionMethod::Stored).unix_permissions(0o755);
    let mut zip = ZipWriter::new(Cursor::new(Vec::with_capacity(bootstrap.len() + 512)));
    zip.start_file("bootstrap", options)?;
    zip.write_all(bootstrap)?;
    Ok(zip.finish()?.into_inner())
}

/// Returns the reason of the last operation's failure: the first resource that failed by itself.
pub(crate) fn first_failure(events: &[Event]) -> Option<String> {
    // The first event of all is the stack's own.
    let stack = events.first().map(|event| event.resource.as_str());
    let begins = ["CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS"];
    let started =
        |event: &Event| Some(event.resource.as_str()) == stack && begins.contains(&event.status.as_str());
    let start = events.iter().rposition(started).unwrap_or(0);
    let own = |event: &&Event| event.status.ends_with("_FAILED") && !event.reason.contains("cancelled");
    let event = events.get(start..)?.iter().find(own)?;
    Some(format!("{} {}: {}", event.resource, event.status, event.reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(resource: &str, status: &str, reason: &str) -> Event {
        Event { resource: resource.into(), status: status.into(), reason: reason.into() }
    }

    #[test]
    fn reason_is_that_of_the_first_failed_resource() {
        let events = [
            event("s", "CREATE_IN_PROGRESS", "User Initiated"),
            event("Old", "CREATE_FAILED", "old"),
            event("s", "UPDATE_IN_PROGRESS", "User Initiated"),
            event("Other", "UPDATE_FAILED", "Resource update cancelled"),
            event("Job", "UPDATE_FAILED", "no table"),
            event("Late", "UPDATE_FAILED", "late"),
        ];
        assert_eq!(first_failure(&events).as_deref(), Some("Job UPDATE_FAILED: no table"));
    }

    #[test]
    fn a_history_without_failure_has_no_reason() {
        assert!(first_failure(&[event("s", "CREATE_COMPLETE", "")]).is_none());
    }
}
