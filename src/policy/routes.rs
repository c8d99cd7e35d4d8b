//! The routes: one path, at most one route.
//!
//! Two routes of one face that fit one path are refused, never ranked: which of them is meant must not depend on a rule
//! that one has to remember.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    path::Captures,
    route::{Route, is_safe_for_ida},
};
use crate::{
    config::{self, FaceKind, HandlerKind, Report},
    refusal::{Code, Refusal},
};

/// Routes in one configuration.
pub const ROUTES_MAX: usize = 1_000;

/// The route of a received path.
#[derive(Clone, Debug)]
pub struct Match<'p> {
    route: Arc<Route>,
    captures: Captures<'p>,
}

impl<'p> Match<'p> {
    /// The route.
    pub const fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// What a name in braces stands for.
    pub fn capture(&self, name: &str) -> Option<&'p str> {
        self.route.path().capture(name, &self.captures)
    }

    /// The path towards the upstream. A licence key and an API key of ours take the place of those received. It holds
    /// secrets: not for logs.
    ///
    /// # Errors
    /// Never, as long as building the table makes sure that every name of `to.path` is one of the path; a path with a
    /// hole in it must not go out in any case.
    pub fn upstream_path(
        &self,
        misp_lk: Option<&str>,
        api_key: Option<&str>,
    ) -> Result<String, Refusal> {
        let value = |name: &str| match name {
            "misp_lk" => misp_lk.or_else(|| self.capture(name)),
            "api_key" => api_key.or_else(|| self.capture(name)),
            _ => self.capture(name),
        };
        (self.route.upstream_pattern())
            .fill(value, self.captures.rest())
            .ok_or_else(|| Refusal::new(Code::Fault, "a name of to.path is not in path"))
    }
}

/// All routes of a snapshot.
#[derive(Debug, Default)]
pub struct RouteTable {
    /// As they are written, those with mistakes too.
    names: Vec<String>,
    all: Vec<Arc<Route>>,
    /// By face and number of segments; those with `{rest}` by face alone.
    exact: BTreeMap<(FaceKind, usize), Vec<Arc<Route>>>,
    open_ended: BTreeMap<FaceKind, Vec<Arc<Route>>>,
}

impl RouteTable {
    /// Checks all routes. The report stands at the whole configuration.
    pub fn build(raw: &[config::Route], upstream_names: &[&str], report: &mut Report<'_>) -> Self {
        let mut this = Self {
            names: raw.iter().map(|route| route.name.clone()).collect(),
            ..Self::default()
        };
        if raw.len() > ROUTES_MAX {
            let what = format!("{} routes are more than {ROUTES_MAX}", raw.len());
            report.error("route", what, "Use names in braces, or several gateways.");
            return this;
        }
        for (i, one) in raw.iter().enumerate() {
            let report = &mut report.within(format!("route[{i}]"));
            if raw.iter().take(i).any(|other| other.name == one.name) {
                report.error(
                    "name",
                    format!("there is another route `{}`", one.name),
                    "Give each route a name of its own.",
                );
            }
            let Some(route) = Route::build(one, upstream_names, report) else {
                continue;
            };
            for other in this.all.iter().filter(|other| other.face() == route.face()) {
                if other.path().overlaps(route.path()) {
                    let what = format!(
                        "a path can fit this route and `{}` ({}) alike",
                        other.name(),
                        other.path()
                    );
                    report.error(
                        "path",
                        what,
                        "Make them differ in a literal segment; no route takes precedence.",
                    );
                }
            }
            this.add(Arc::new(route));
        }
        this
    }

    /// The route of a path on a face. Segments of an `ida` path that IDA would misread fit no route.
    pub fn find<'p>(&self, face: FaceKind, path: &'p [&'p str]) -> Option<Match<'p>> {
        let exact = self.exact.get(&(face, path.len())).into_iter().flatten();
        let open_ended = self.open_ended.get(&face).into_iter().flatten();
        let (route, captures) = exact
            .chain(open_ended)
            .find_map(|route| Some((route, route.path().matches(path)?)))?;
        if route.handler() == HandlerKind::Ida
            && !path.iter().all(|segment| is_safe_for_ida(segment))
        {
            return None;
        }
        Some(Match {
            route: Arc::clone(route),
            captures,
        })
    }

    /// Every route, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.all.iter()
    }

    /// The names, for partner files to be checked against; those of routes with mistakes too, so that one mistake is not
    /// reported again and again.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    fn add(&mut self, route: Arc<Route>) {
        if route.path().has_rest() {
            self.open_ended
                .entry(route.face())
                .or_default()
                .push(Arc::clone(&route));
        } else {
            let key = (route.face(), route.path().segments().len());
            self.exact.entry(key).or_default().push(Arc::clone(&route));
        }
        self.all.push(route);
    }
}

#[cfg(test)]
mod tests;
