//! The deployed stack: what CloudFormation knows, and the clients for the rest.

use std::collections::BTreeMap;

use anyhow::Context as _;
use aws_config::{Region, SdkConfig};
use aws_sdk_cloudformation::types::Stack;
use midihook::aws::error::Reason;

use crate::stack::place::{self, Place};

/// An account, and the stack in it.
pub struct Deployment {
    pub config: SdkConfig,
    pub name: String,
    pub region: String,
    pub stack: Stack,
    /// The options with which `aws` and `midihook` work on this account.
    options: String,
    /// The physical ids of the stack's resources, by their logical ids.
    resources: BTreeMap<String, String>,
}

impl Deployment {
    pub async fn of(place: &Place) -> anyhow::Result<Self> {
        let (config, name) = (place.config().await?, place.name());
        let stack = place::describe(&config, &name, "").await?;
        let cloudformation = aws_sdk_cloudformation::Client::new(&config);
        let listed = cloudformation.describe_stack_resources().stack_name(&name).send().await;
        let listed = listed.map_err(Reason::from);
        let listed =
            listed.context("cannot list the resources of the stack (cloudformation:DescribeStackResources)")?;
        let resources = listed.stack_resources.unwrap_or_default().into_iter();
        let resources = resources.filter_map(|it| it.logical_resource_id.zip(it.physical_resource_id));
        let region = config.region().map_or("", Region::as_ref).to_owned();
        Ok(Self {
            options: place.options(&region),
            resources: resources.collect(),
            config,
            name,
            region,
            stack,
        })
    }

    /// The physical id of a resource, unless the stack has none of that name.
    pub fn resource(&self, logical: &str) -> Option<&str> {
        self.resources.get(logical).map(String::as_str)
    }

    /// The resources whose logical ids end like this: both ids.
    pub fn resources(&self, end: &str) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.resources.iter().filter(move |(logical, _)| logical.ends_with(end));
        pairs.map(|(logical, physical)| (logical.as_str(), physical.as_str()))
    }

    pub fn output(&self, key: &str) -> Option<&str> {
        let outputs = self.stack.outputs().iter();
        let mut its = outputs.filter(|output| output.output_key() == Some(key));
        its.next()?.output_value()
    }

    pub fn parameter(&self, key: &str) -> Option<&str> {
        let parameters = self.stack.parameters().iter();
        let mut its = parameters.filter(|parameter| parameter.parameter_key() == Some(key));
        its.next()?.parameter_value()
    }

    /// A command of the AWS CLI that works on this account.
    pub fn aws(&self, command: impl std::fmt::Display) -> String {
        format!("aws {command}{}", self.options)
    }

    /// A command of ours that works on this stack.
    pub fn midihook(&self, command: &str) -> String {
        format!("midihook {command} --stack {}{}", self.name, self.options)
    }
}
