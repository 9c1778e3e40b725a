//! Eggs with their variables, as the panel writes them.
//!
//! A create must send an image, a start command and every variable, so an egg that
//! lacks one of them, or hides its variables from our key, is refused here.

use serde::Deserialize;

use super::{Flaw, Included, Resource, lenient};
use crate::panel::{Egg, EggVariable};

#[derive(Deserialize)]
pub(in crate::panel) struct EggAttributes {
    #[serde(deserialize_with = "lenient::int")]
    id: i64,
    #[serde(deserialize_with = "lenient::int")]
    nest: i64,
    name: String,
    #[serde(default)]
    docker_image: Option<String>,
    #[serde(default, deserialize_with = "lenient::texts_in_order")]
    docker_images: Vec<String>,
    #[serde(default)]
    startup: Option<String>,
    #[serde(default)]
    relationships: EggRelations,
}

#[derive(Default, Deserialize)]
struct EggRelations {
    variables: Option<Included<VariableAttributes>>,
}

#[derive(Deserialize)]
struct VariableAttributes {
    env_variable: String,
    #[serde(default, deserialize_with = "lenient::text")]
    default_value: String,
    #[serde(deserialize_with = "lenient::flag")]
    user_editable: bool,
    #[serde(default, deserialize_with = "lenient::text")]
    rules: String,
}

impl Resource for Egg {
    const OBJECT: &'static str = "egg";
    type Attributes = EggAttributes;

    fn id(&self) -> i64 {
        self.id
    }

    fn take(egg: EggAttributes) -> Result<Self, Flaw> {
        let lacks = |what: &str| Flaw::Content(format!("egg {}: {what}", egg.id));
        let startup = egg.startup.filter(|command| !command.is_empty());
        let startup = startup.ok_or_else(|| lacks("no start command"))?;
        let variables = egg
            .relationships
            .variables
            .and_then(|included| included.data);
        let variables = variables.ok_or_else(|| lacks("variables are hidden from our key"))?;
        // `docker_image` is the default; the labelled ones follow in the panel's order.
        let mut docker_images: Vec<String> = Vec::new();
        for image in egg.docker_image.into_iter().chain(egg.docker_images) {
            if !image.is_empty() && !docker_images.contains(&image) {
                docker_images.push(image);
            }
        }
        if docker_images.is_empty() {
            return Err(lacks("no image"));
        }
        let variables = variables
            .into_iter()
            .map(|row| row.attributes.into())
            .collect();
        Ok(Self {
            id: egg.id,
            nest: egg.nest,
            name: egg.name,
            docker_images,
            startup,
            variables,
        })
    }
}

impl From<VariableAttributes> for EggVariable {
    fn from(row: VariableAttributes) -> Self {
        let VariableAttributes {
            env_variable,
            default_value,
            user_editable,
            rules,
        } = row;
        Self {
            env_variable,
            default_value,
            user_editable,
            rules,
        }
    }
}
