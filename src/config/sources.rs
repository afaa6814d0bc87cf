//! Where a configuration comes from: the defaults, one file, the environment, the command line, in rising order.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
};

use figment::value::Value;

use super::{
    environment, files, kinds,
    layer::Layer,
    presets,
    problems::{Place, Problem},
    shape::Shape,
};

const DEFAULTS: &str = include_str!("../../config/defaults.toml");

/// The file that is read when none is named and it exists.
const USUAL_FILE: &str = "/etc/doorward/doorward.toml";

/// What the command line says about the configuration.
#[derive(Clone, Default)]
pub struct CommandLine {
    /// `--config FILE`.
    pub config: Option<PathBuf>,
    /// Dotted keys with what their flags say, e.g. `("log.filter", "debug")`. Problems name the flag as `--log-filter`.
    pub overrides: Vec<(String, String)>,
}

/// What all sources say.
pub(super) struct Said {
    /// In rising order, without anything that has no meaning.
    pub(super) layers: Vec<Layer>,
    /// Whether the file could be read, so that what is missing was not written.
    pub(super) is_whole: bool,
    /// What was wrong so far.
    pub(super) problems: Vec<Problem>,
}

/// Where a configuration comes from. Reading it again reads the file again; environment and command line stay.
#[derive(Clone)]
pub struct Sources {
    command_line: CommandLine,
    /// Only variables that begin with `DOORWARD_`.
    environment: BTreeMap<OsString, OsString>,
    /// Read when nobody names a file, and allowed to be absent.
    usual_file: Option<PathBuf>,
}

impl Sources {
    /// This process's environment, and `/etc/doorward/doorward.toml` when no other file is named.
    #[must_use]
    pub fn from_process(command_line: CommandLine) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the process's environment")]
        let environment = std::env::vars_os();
        Self::new(command_line, environment).with_usual_file(USUAL_FILE)
    }

    /// This environment, and no file unless one is named.
    #[must_use]
    pub fn new<K: Into<OsString>, V: Into<OsString>>(
        command_line: CommandLine,
        environment: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let environment = environment.into_iter().map(|(variable, value)| (variable.into(), value.into()));
        let is_ours =
            |(variable, _): &(OsString, OsString)| variable.to_string_lossy().starts_with(environment::PREFIX);
        Self { command_line, environment: environment.filter(is_ours).collect(), usual_file: None }
    }

    /// `path` is read when nobody names a file, and may be absent.
    #[must_use]
    pub(super) fn with_usual_file(self, path: impl Into<PathBuf>) -> Self {
        Self { usual_file: Some(path.into()), ..self }
    }

    /// What every source says, and what in it has no meaning.
    pub(super) fn read(&self, shape: &Shape) -> Said {
        let mut problems = Vec::new();
        let mut defaults = keep(Layer::from_toml(DEFAULTS, |_| Place::BuiltIn("default".to_owned())), &mut problems);
        shape.prune(&mut defaults, &mut problems);
        let file = self.file();
        let is_whole = file.is_ok();
        let mut file = keep(file, &mut problems);
        shape.prune(&mut file, &mut problems);
        let environment = environment::layer(&self.environment, shape, &file, &mut problems);
        let flags = self.flags(shape, &mut problems);
        let kinds = kinds::layer(&[&file, &environment, &flags], &mut problems);
        let preset = presets::layer(&[&file, &environment, &flags], &mut problems);
        Said { layers: vec![defaults, preset, kinds, file, environment, flags], is_whole, problems }
    }

    fn file(&self) -> Result<Layer, Problem> {
        let variable = self.environment.get(&OsString::from(environment::CONFIG));
        let (path, named_by) = match (&self.command_line.config, variable, &self.usual_file) {
            (Some(path), _, _) => (path.as_path(), Some(Place::Flag("--config".to_owned()))),
            (None, Some(path), _) => (Path::new(path), Some(Place::Variable(environment::CONFIG.to_owned()))),
            (None, None, Some(path)) => (path.as_path(), None),
            (None, None, None) => return Ok(Layer::default()),
        };
        let shown = path.display().to_string();
        let problem = |what: String| match &named_by {
            Some(place) => {
                Problem { place: Some(place.clone()), key: shown.clone(), what: format!("names {shown}, which {what}") }
            }
            None => Problem { place: None, key: shown.clone(), what },
        };
        // Exactly this path: a file of the same name in a parent directory is somebody else's.
        let bytes = match files::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound && named_by.is_none() => return Ok(Layer::default()),
            Err(error) => return Err(problem(format!("cannot be read: {error}"))),
        };
        let text = String::from_utf8(bytes).map_err(|_| problem("is not UTF-8".to_owned()))?;
        Layer::from_toml(&text, |line| Place::File(shown.clone(), line))
    }

    fn flags(&self, shape: &Shape, problems: &mut Vec<Problem>) -> Layer {
        let mut layer = Layer::default();
        let keys = shape.keys();
        for (key, value) in &self.command_line.overrides {
            let place = Place::Flag(format!("--{}", key.replace(['.', '_'], "-")));
            if keys.contains(key) {
                let path: Vec<_> = key.split('.').map(str::to_owned).collect();
                layer.insert(&path, Value::from(value.as_str()), place);
            } else {
                let nearest = keys.iter().min_by_key(|known| strsim::damerau_levenshtein(known, key));
                let what = format!("means nothing; the nearest known key is `{}`", nearest.map_or("", String::as_str));
                problems.push(Problem { place: Some(place), key: key.clone(), what });
            }
        }
        layer
    }
}

fn keep(layer: Result<Layer, Problem>, problems: &mut Vec<Problem>) -> Layer {
    layer.map_err(|problem| problems.push(problem)).unwrap_or_default()
}

/// Names only: any value may be a secret.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let overrides: Vec<_> = self.command_line.overrides.iter().map(|(key, _)| key).collect();
        f.debug_struct("Sources")
            .field("config", &self.command_line.config)
            .field("usual_file", &self.usual_file)
            .field("environment", &self.environment.keys())
            .field("overrides", &overrides)
            .finish()
    }
}
